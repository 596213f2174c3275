package containerd

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
)

// Labels that clients of containerd give their containers.
const (
	nerdctlName     = "nerdctl/name"
	nerdctlPorts    = "nerdctl/ports"
	nerdctlMounts   = "nerdctl/mounts"
	nerdctlNetworks = "nerdctl/networks"
	nerdctlStateDir = "nerdctl/state-dir"
	criKind         = "io.cri-containerd.kind" // container or sandbox
	podName         = "io.kubernetes.pod.name"
	podNamespace    = "io.kubernetes.pod.namespace"
	podUID          = "io.kubernetes.pod.uid"
	podContainer    = "io.kubernetes.container.name"
)

// translator makes objects of what containerd says. They share the strings that many of them have.
type translator struct{ *objects.Strings }

// objectName is the name of the object of a container. IDs are unique only within their namespace, and neither has a colon.
func objectName(namespace, id string) string { return namespace + ":" + id }

// parseName returns what an object's name is made of.
func parseName(name string) (namespace, id string) {
	namespace, id, _ = strings.Cut(name, ":")
	return namespace, id
}

// spec is what is used of a container's OCI specification.
// Source: https://github.com/opencontainers/runtime-spec/blob/main/config.md
type spec struct {
	Process *struct {
		Terminal bool     `json:"terminal"`
		Args     []string `json:"args"`
	} `json:"process"`
	Mounts []struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	} `json:"mounts"`
}

// specOf reads a container's specification. One that is not understood is empty.
func specOf(c *containers.Container) (s spec) {
	if json.Unmarshal(c.GetSpec().GetValue(), &s) != nil { // it is JSON in an Any
		return spec{}
	}
	return s
}

// container makes the object of a container; p is its task's process, nil when it has no task.
func (t translator) container(namespace string, c *containers.Container, p *tasktypes.Process) *v1alpha1.Container {
	o := &v1alpha1.Container{}
	s := &o.Status
	s.ID, s.Namespace, s.Name = c.GetID(), t.Shared(namespace), nameOf(c)
	s.Image = t.Shared(c.GetImage())
	if at := c.GetCreatedAt(); at != nil {
		s.Created = metav1.Time{Time: at.AsTime()}
	}
	spec := specOf(c)
	if spec.Process != nil {
		s.Command = objects.Command(spec.Process.Args)
	}
	s.State = v1alpha1.ContainerCreated
	if p != nil {
		s.State = state(p.GetStatus())
	}
	if s.State == v1alpha1.ContainerExited {
		s.ExitCode = new(int32(p.GetExitStatus()))
		if at := p.GetExitedAt(); at != nil && at.GetSeconds() > 0 {
			s.FinishedAt = &metav1.Time{Time: at.AsTime()}
		}
	}
	labels := c.GetLabels()
	s.Ports, s.Mounts = t.ports(labels), t.mounts(labels, spec)
	_ = json.Unmarshal([]byte(labels[nerdctlNetworks]), &s.Networks) // absent, or not understood
	t.describe(o, labels)
	return o
}

func (t translator) describe(o *v1alpha1.Container, labels map[string]string) {
	s := &o.Status
	o.Name = objectName(s.Namespace, s.ID)
	o.CreationTimestamp = s.Created
	s.Labels, o.Labels = t.Labels(labels)
	s.Project, s.Service = s.Labels[objects.ProjectLabel], s.Labels[objects.ServiceLabel]
}

// nameOf is what people call a container: nerdctl and Kubernetes have names, and others only IDs.
func nameOf(c *containers.Container) string {
	labels := c.GetLabels()
	switch {
	case labels[nerdctlName] != "":
		return labels[nerdctlName]
	case labels[podName] != "" && labels[podContainer] != "":
		return labels[podName] + "/" + labels[podContainer]
	case labels[podName] != "":
		return labels[podName] + "/sandbox"
	}
	return c.GetID()
}

func state(s tasktypes.Status) v1alpha1.ContainerState {
	switch s {
	case tasktypes.Status_RUNNING:
		return v1alpha1.ContainerRunning
	case tasktypes.Status_STOPPED:
		return v1alpha1.ContainerExited
	case tasktypes.Status_PAUSED, tasktypes.Status_PAUSING:
		return v1alpha1.ContainerPaused
	case tasktypes.Status_CREATED:
		return v1alpha1.ContainerCreated
	case tasktypes.Status_UNKNOWN: // its shim does not answer
		return v1alpha1.ContainerDead
	}
	return v1alpha1.ContainerState(strings.ToLower(s.String()))
}

// ports reads nerdctl's label. It has 0.0.0.0 for a port that was published without an address.
func (t translator) ports(labels map[string]string) (out []v1alpha1.ContainerPort) {
	var published []struct {
		HostPort, ContainerPort int32
		Protocol, HostIP        string
	}
	if json.Unmarshal([]byte(labels[nerdctlPorts]), &published) != nil { // absent, or not understood
		return nil
	}
	for _, p := range published {
		port := v1alpha1.ContainerPort{Protocol: t.Shared(cmp.Or(p.Protocol, "tcp")), ContainerPort: p.ContainerPort, HostPort: p.HostPort}
		if p.HostIP != "0.0.0.0" && p.HostIP != "::" {
			port.HostIP = p.HostIP
		}
		out = append(out, port)
	}
	slices.SortFunc(out, func(a, b v1alpha1.ContainerPort) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostPort, b.HostPort))
	})
	return out
}

// mounts are those of nerdctl's label, which has the names of volumes, or else the folders of the specification.
func (t translator) mounts(labels map[string]string, spec spec) (out []v1alpha1.ContainerMount) {
	var known []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
	if json.Unmarshal([]byte(labels[nerdctlMounts]), &known) == nil {
		for _, m := range known {
			out = append(out, v1alpha1.ContainerMount{Type: t.Shared(m.Type), Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW})
		}
	} else {
		for _, m := range spec.Mounts {
			if m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
				out = append(out, v1alpha1.ContainerMount{Type: "bind", Source: m.Source, Destination: m.Destination, ReadOnly: slices.Contains(m.Options, "ro")})
			}
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.ContainerMount) int { return cmp.Compare(a.Destination, b.Destination) })
	return out
}

// images makes one object for each tag of the images of a namespace, or one for an image without tags. containerd has an image
// for each name: a tag, a reference with a digest, or, of Kubernetes, the digest of the image's configuration.
func (t translator) images(namespace string, all []*images.Image, details map[string]*imageDetails) (out []*v1alpha1.Image) {
	byDigest := map[string][]*images.Image{}
	for _, i := range all {
		byDigest[i.GetTarget().GetDigest()] = append(byDigest[i.GetTarget().GetDigest()], i)
	}
	for digest, names := range byDigest {
		var tags, digests []string
		created := names[0].GetCreatedAt().AsTime()
		for _, i := range names {
			switch name := i.GetName(); {
			case strings.Contains(name, "@"):
				digests = append(digests, name)
			case isTag(name):
				tags = append(tags, name)
			}
			if at := i.GetCreatedAt().AsTime(); at.Before(created) {
				created = at
			}
		}
		slices.Sort(tags)
		slices.Sort(digests)
		if len(tags) == 0 {
			tags = []string{""}
		}
		d := details[digest]
		if !d.created.IsZero() {
			created = d.created
		}
		labels, accepted := t.Labels(d.labels)
		id := t.Shared(digest)
		for _, tag := range tags {
			o := &v1alpha1.Image{Status: v1alpha1.ImageStatus{
				ID: id, Namespace: t.Shared(namespace), RepoTag: t.Shared(tag), RepoDigests: digests, Size: d.size, Labels: labels, Created: metav1.Time{Time: created},
			}}
			o.Name = objects.ImageName(namespace+"/"+id, tag)
			o.CreationTimestamp = o.Status.Created
			o.Labels = accepted
			out = append(out, o)
		}
	}
	return out
}

// isTag reports whether an image's name is a tag.
func isTag(name string) bool {
	return !strings.Contains(name, "@") && !strings.HasPrefix(name, "sha256:")
}
