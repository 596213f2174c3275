// Package objects describes the engine's containers, images, volumes and networks as resources of the control plane:
// names, what selectors and tables show, and which labels they carry. The package of each engine fills their stores,
// and adds how to delete them and their subresources.
package objects

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/view"
)

// category is what all the kinds have in common for clients: `kubectl get docker`.
const category = "docker"

// Namespace is the column with an object's namespace of containerd. docker's objects all have the same.
const (
	Namespace     = "Namespace"
	namespaceText = "Its namespace in containerd"
)

// shortID is how long docker shows an ID.
const shortID = 12

// Containers returns the resource of containers, with an empty store.
func Containers() view.Resource {
	return resource(view.Resource{
		Name: v1alpha1.Containers, Singular: "container", Kind: "Container", ShortNames: []string{"ctr"},
		Instead: "docker run",
		New:     func() view.Object { return &v1alpha1.Container{} },
		NewList: func() runtime.Object { return &v1alpha1.ContainerList{} },
		Columns: []view.Column{
			column("ID", "The engine's ID, shortened", "name", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return short(s.ID) }),
			column("Image", "The image that it was created with", "", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return s.Image }),
			column("Command", "The command that it runs", "", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return quoted(s.Command) }),
			column("Created", "When it was created", "", containerOf, func(s *v1alpha1.ContainerStatus, now time.Time) string { return ago(s.Created, now) }),
			column("Status", "What it is doing", "", containerOf, (*v1alpha1.ContainerStatus).Summary),
			column("Ports", "The ports that it publishes or exposes", "", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return ports(s.Ports) }),
			column("Names", "Its name", "", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return s.Name }),
			wide("Networks", "The networks that it is connected to", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return list(s.Networks) }),
			wide("Project", "Its compose project", containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return s.Project }),
			wide(Namespace, namespaceText, containerOf, func(s *v1alpha1.ContainerStatus, _ time.Time) string { return s.Namespace }),
		},
	}, view.Kind{
		Fields: map[string]func(view.Object) string{
			"status.id":        func(o view.Object) string { return containerOf(o).ID },
			"status.name":      func(o view.Object) string { return containerOf(o).Name },
			"status.namespace": func(o view.Object) string { return containerOf(o).Namespace },
			"status.state":     func(o view.Object) string { return string(containerOf(o).State) },
			"status.image":     func(o view.Object) string { return containerOf(o).Image },
			"status.project":   func(o view.Object) string { return containerOf(o).Project },
		},
		Names:   func(o view.Object) []string { return []string{containerOf(o).Name} },
		ID:      func(o view.Object) string { return containerOf(o).ID },
		Compare: newestFirst,
	})
}

// Images returns the resource of images, with an empty store.
func Images() view.Resource {
	return resource(view.Resource{
		Name: v1alpha1.Images, Singular: "image", Kind: "Image", ShortNames: []string{"img"},
		Instead: "docker pull",
		New:     func() view.Object { return &v1alpha1.Image{} },
		NewList: func() runtime.Object { return &v1alpha1.ImageList{} },
		Columns: []view.Column{
			column("Repository", "Where it is from, or would be pushed to", "", imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { r, _ := splitTag(s.RepoTag); return r }),
			column("Tag", "Its tag", "", imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { _, t := splitTag(s.RepoTag); return t }),
			column("Image ID", "The engine's ID, shortened", "", imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { return short(s.ID) }),
			column("Created", "When it was built", "", imageOf, func(s *v1alpha1.ImageStatus, now time.Time) string { return ago(s.Created, now) }),
			column("Size", "Its size, with the layers that it shares with others", "", imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { return size(s.Size) }),
			{Name: "Name", Description: "The name of the object", Format: "name", Wide: always, Cell: func(o view.Object, _ time.Time) any { return o.GetName() }},
			wide("Containers", "The containers that use it", imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { return list(s.Containers) }),
			wide(Namespace, namespaceText, imageOf, func(s *v1alpha1.ImageStatus, _ time.Time) string { return s.Namespace }),
		},
	}, view.Kind{
		Fields: map[string]func(view.Object) string{
			"status.id":        func(o view.Object) string { return imageOf(o).ID },
			"status.namespace": func(o view.Object) string { return imageOf(o).Namespace },
			"status.repoTag":   func(o view.Object) string { return imageOf(o).RepoTag },
		},
		Names:   func(o view.Object) []string { return imageNames(imageOf(o)) },
		ID:      func(o view.Object) string { return hash(imageOf(o).ID) },
		Compare: newestFirst,
	})
}

// Volumes returns the resource of volumes, with an empty store.
func Volumes() view.Resource {
	return resource(view.Resource{
		Name: v1alpha1.Volumes, Singular: "volume", Kind: "Volume", ShortNames: []string{"vol"},
		Instead: "docker volume create",
		New:     func() view.Object { return &v1alpha1.Volume{} },
		NewList: func() runtime.Object { return &v1alpha1.VolumeList{} },
		Columns: []view.Column{
			column("Name", "Its name", "name", volumeOf, func(s *v1alpha1.VolumeStatus, _ time.Time) string { return s.Name }),
			column("Driver", "Its driver", "", volumeOf, func(s *v1alpha1.VolumeStatus, _ time.Time) string { return s.Driver }),
			column("Created", "When it was created", "", volumeOf, func(s *v1alpha1.VolumeStatus, now time.Time) string { return ago(s.Created, now) }),
			column("Containers", "The containers that use it", "", volumeOf, func(s *v1alpha1.VolumeStatus, _ time.Time) string { return list(s.Containers) }),
			wide("Mountpoint", "Its path in the virtual machine", volumeOf, func(s *v1alpha1.VolumeStatus, _ time.Time) string { return s.Mountpoint }),
		},
	}, view.Kind{
		Fields: map[string]func(view.Object) string{
			"status.name":   func(o view.Object) string { return volumeOf(o).Name },
			"status.driver": func(o view.Object) string { return volumeOf(o).Driver },
		},
		Names: func(o view.Object) []string { return []string{volumeOf(o).Name} },
	})
}

// Networks returns the resource of networks, with an empty store.
func Networks() view.Resource {
	return resource(view.Resource{
		Name: v1alpha1.Networks, Singular: "network", Kind: "Network", ShortNames: []string{"net"},
		Instead: "docker network create",
		New:     func() view.Object { return &v1alpha1.Network{} },
		NewList: func() runtime.Object { return &v1alpha1.NetworkList{} },
		Columns: []view.Column{
			column("Network ID", "The engine's ID, shortened", "name", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return short(s.ID) }),
			column("Name", "Its name", "", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return s.Name }),
			column("Driver", "Its driver", "", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return s.Driver }),
			column("Scope", "Its scope", "", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return s.Scope }),
			column("Containers", "The containers that are connected to it", "", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return list(s.Containers) }),
			wide("Subnets", "Its subnets", networkOf, func(s *v1alpha1.NetworkStatus, _ time.Time) string { return list(s.Subnets) }),
		},
	}, view.Kind{
		Fields: map[string]func(view.Object) string{
			"status.id":     func(o view.Object) string { return networkOf(o).ID },
			"status.name":   func(o view.Object) string { return networkOf(o).Name },
			"status.driver": func(o view.Object) string { return networkOf(o).Driver },
		},
		Names: func(o view.Object) []string { return []string{networkOf(o).Name} },
		ID:    func(o view.Object) string { return networkOf(o).ID },
		Compare: func(a, b view.Object) int {
			return strings.Compare(networkOf(a).Name, networkOf(b).Name)
		},
	})
}

func resource(r view.Resource, kind view.Kind) view.Resource {
	kind.New = r.New
	r.Version = v1alpha1.GroupVersion
	r.Categories = []string{category}
	r.Store = view.New(kind)
	return r
}

// The stores hold only objects of their kind.
func containerOf(o view.Object) *v1alpha1.ContainerStatus { return &o.(*v1alpha1.Container).Status } //nolint:forcetypeassert // see above
func imageOf(o view.Object) *v1alpha1.ImageStatus         { return &o.(*v1alpha1.Image).Status }     //nolint:forcetypeassert // see above
func volumeOf(o view.Object) *v1alpha1.VolumeStatus       { return &o.(*v1alpha1.Volume).Status }    //nolint:forcetypeassert // see above
func networkOf(o view.Object) *v1alpha1.NetworkStatus     { return &o.(*v1alpha1.Network).Status }   //nolint:forcetypeassert // see above

func column[S any](name, description, format string, of func(view.Object) *S, cell func(*S, time.Time) string) view.Column {
	return view.Column{Name: name, Description: description, Format: format, Cell: func(o view.Object, now time.Time) any { return cell(of(o), now) }}
}

func wide[S any](name, description string, of func(view.Object) *S, cell func(*S, time.Time) string) view.Column {
	c := column(name, description, "", of, cell)
	c.Wide = always
	return c
}

func always() bool { return true }

func newestFirst(a, b view.Object) int {
	return b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time)
}

// imageNames are what docker accepts for an image, beside the beginning of its ID.
func imageNames(s *v1alpha1.ImageStatus) []string {
	names := []string{s.ID}
	if s.RepoTag == "" {
		return names
	}
	familiar := strings.TrimPrefix(strings.TrimPrefix(s.RepoTag, "docker.io/"), "library/")
	names = append(names, s.RepoTag, familiar)
	if latest, ok := strings.CutSuffix(familiar, ":latest"); ok {
		names = append(names, latest)
	}
	return names
}

func hash(id string) string {
	if _, h, ok := strings.Cut(id, ":"); ok {
		return h
	}
	return id
}

func short(id string) string {
	id = hash(id)
	return id[:min(shortID, len(id))]
}

// splitTag splits a reference as `docker images` does: a port is not a tag.
func splitTag(reference string) (repository, tag string) {
	if reference == "" {
		return "<none>", "<none>"
	}
	at := strings.LastIndex(reference, ":")
	if at < 0 || strings.Contains(reference[at:], "/") {
		return reference, "<none>"
	}
	return reference[:at], reference[at+1:]
}

func ago(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return v1alpha1.Age(now.Sub(t.Time)) + " ago"
}
