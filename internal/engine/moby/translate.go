package moby

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
)

// namespace is what containerd calls docker's objects.
const namespace = "moby"

// translator makes objects of what the engine says. They share the strings that many of them have.
type translator struct{ *objects.Strings }

// fromInspect makes the object of a container from all that the engine says about it.
func (t translator) fromInspect(c *container.InspectResponse) *v1alpha1.Container {
	o := &v1alpha1.Container{}
	s := &o.Status
	s.Name, s.ID, s.Namespace, s.ImageID = strings.TrimPrefix(c.Name, "/"), c.ID, namespace, t.Shared(c.Image)
	s.Command = objects.Command(append([]string{c.Path}, c.Args...))
	s.Created = metav1.Time{Time: parsed(c.Created)}
	var labels map[string]string
	if c.Config != nil {
		s.Image, labels = t.Shared(c.Config.Image), c.Config.Labels
	}
	if c.State != nil {
		s.State = state(c.State.Status)
		s.StartedAt, s.FinishedAt = moment(c.State.StartedAt), moment(c.State.FinishedAt)
		if c.State.Health != nil {
			s.Health = t.health(c.State.Health.Status)
		}
		if s.FinishedAt != nil && s.State != v1alpha1.ContainerRunning && s.State != v1alpha1.ContainerPaused || c.State.ExitCode != 0 {
			s.ExitCode = new(int32(c.State.ExitCode))
		}
	}
	s.Ports = t.ports(c)
	s.Mounts = t.mounts(c.Mounts)
	if c.NetworkSettings != nil {
		for name := range c.NetworkSettings.Networks {
			s.Networks = append(s.Networks, t.Shared(name))
		}
		slices.Sort(s.Networks)
	}
	t.describe(o, labels)
	return o
}

// fromList makes the object of a container from its line in the list, for an engine that does not say more in time. It
// takes from was, which may be nil, what the list does not have.
func (t translator) fromList(c *container.Summary, was *v1alpha1.Container) *v1alpha1.Container {
	o := &v1alpha1.Container{}
	s := &o.Status
	if was != nil {
		s.StartedAt, s.FinishedAt, s.ExitCode, s.Health = was.Status.StartedAt, was.Status.FinishedAt, was.Status.ExitCode, was.Status.Health
	}
	if len(c.Names) > 0 {
		s.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	s.ID, s.Namespace, s.ImageID, s.Image = c.ID, namespace, t.Shared(c.ImageID), t.Shared(c.Image)
	s.Command = objects.Cut(c.Command)
	s.Created = metav1.Time{Time: time.Unix(c.Created, 0)}
	s.State = state(c.State)
	for _, p := range c.Ports {
		port := v1alpha1.ContainerPort{Protocol: t.Shared(p.Type), ContainerPort: int32(p.PrivatePort), HostPort: int32(p.PublicPort)}
		if p.IP.IsValid() && !p.IP.IsUnspecified() {
			port.HostIP = p.IP.String()
		}
		if !slices.Contains(s.Ports, port) {
			s.Ports = append(s.Ports, port)
		}
	}
	slices.SortFunc(s.Ports, comparePorts)
	s.Mounts = t.mounts(c.Mounts)
	if c.NetworkSettings != nil {
		for name := range c.NetworkSettings.Networks {
			s.Networks = append(s.Networks, t.Shared(name))
		}
		slices.Sort(s.Networks)
	}
	if c.Health != nil {
		s.Health = t.health(c.Health.Status)
	}
	t.describe(o, c.Labels)
	return o
}

// describe fills what follows from the status.
func (t translator) describe(o *v1alpha1.Container, labels map[string]string) {
	s := &o.Status
	o.Name = s.ID
	o.CreationTimestamp = s.Created
	s.Labels, o.Labels = t.Labels(labels)
	s.Project, s.Service = s.Labels[objects.ProjectLabel], s.Labels[objects.ServiceLabel]
}

// state is one of the known states, of which there is one text for all objects.
func state(s container.ContainerState) v1alpha1.ContainerState {
	for _, known := range []v1alpha1.ContainerState{
		v1alpha1.ContainerRunning, v1alpha1.ContainerExited, v1alpha1.ContainerCreated, v1alpha1.ContainerPaused,
		v1alpha1.ContainerRestarting, v1alpha1.ContainerRemoving, v1alpha1.ContainerDead,
	} {
		if string(known) == string(s) {
			return known
		}
	}
	return v1alpha1.ContainerState(s)
}

func (t translator) health(h container.HealthStatus) string {
	if h == container.NoHealthcheck {
		return ""
	}
	return t.Shared(string(h))
}

func (t translator) mounts(all []container.MountPoint) (out []v1alpha1.ContainerMount) {
	for _, m := range all {
		out = append(out, v1alpha1.ContainerMount{
			Type: t.Shared(string(m.Type)), Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW,
		})
	}
	slices.SortFunc(out, func(a, b v1alpha1.ContainerMount) int { return cmp.Compare(a.Destination, b.Destination) })
	return out
}

// ports are those that c publishes now, with the host's address as c asks for it, and those that it only exposes.
func (t translator) ports(c *container.InspectResponse) (out []v1alpha1.ContainerPort) {
	var published network.PortMap
	if c.NetworkSettings != nil {
		published = c.NetworkSettings.Ports
	}
	for port, bound := range published {
		p := v1alpha1.ContainerPort{Protocol: t.Shared(string(port.Proto())), ContainerPort: int32(port.Num())}
		var asked []network.PortBinding
		if c.HostConfig != nil {
			asked = c.HostConfig.PortBindings[port]
		}
		addresses := hostAddresses(asked, bound)
		for _, b := range addresses {
			p.HostIP, p.HostPort = b.ip, b.port
			out = append(out, p)
		}
		if len(addresses) == 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, comparePorts)
	return out
}

type hostAddress struct {
	ip   string
	port int32
}

// hostAddresses joins the bindings that a container asks for with those that it got. Only the former tell "on all
// addresses" from no address at all, and only the latter have the port if any is fine.
func hostAddresses(asked, got []network.PortBinding) (out []hostAddress) {
	add := func(ip netip.Addr, port string) {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return
		}
		a := hostAddress{port: int32(number)}
		if ip.IsValid() {
			a.ip = ip.String()
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(got) == 0 {
		return nil
	}
	if len(asked) == 0 { // docker run -P
		for _, b := range got {
			add(forAll(b.HostIP), b.HostPort)
		}
	}
	for _, want := range asked {
		for _, b := range got {
			if portMatches(want.HostPort, b.HostPort) && addressMatches(want.HostIP, b.HostIP) {
				add(want.HostIP, b.HostPort)
			}
		}
	}
	return out
}

// forAll returns no address for the one that stands for all.
func forAll(ip netip.Addr) netip.Addr {
	if ip.IsUnspecified() {
		return netip.Addr{}
	}
	return ip
}

// portMatches reports whether a container that asks for a port, a range of ports or any port could have got this one.
func portMatches(asked, got string) bool {
	if asked == "" || asked == "0" || asked == got {
		return true
	}
	first, last, isRange := strings.Cut(asked, "-")
	if !isRange {
		return false
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	port, err3 := strconv.Atoi(got)
	return err1 == nil && err2 == nil && err3 == nil && from <= port && port <= to
}

func addressMatches(asked, got netip.Addr) bool {
	if !asked.IsValid() {
		return !got.IsValid() || got.IsUnspecified()
	}
	return asked == got
}

func comparePorts(a, b v1alpha1.ContainerPort) int {
	return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.HostIP, b.HostIP))
}

// fromImage makes one object for each tag of an image, or one for an image without tags.
func (t translator) fromImage(i *image.Summary) (out []*v1alpha1.Image) {
	tags := slices.DeleteFunc(slices.Clone(i.RepoTags), func(tag string) bool { return tag == "" || tag == "<none>:<none>" })
	slices.Sort(tags)
	if tags = slices.Compact(tags); len(tags) == 0 {
		tags = []string{""}
	}
	digests := slices.DeleteFunc(slices.Clone(i.RepoDigests), func(digest string) bool { return digest == "" || digest == "<none>@<none>" })
	id := t.Shared(i.ID)
	labels, accepted := t.Labels(i.Labels)
	for _, tag := range tags {
		o := &v1alpha1.Image{Status: v1alpha1.ImageStatus{
			ID: id, Namespace: namespace, RepoTag: t.Shared(tag), Size: i.Size, Labels: labels, Created: metav1.Time{Time: time.Unix(i.Created, 0)},
		}}
		for _, digest := range digests {
			if tag == "" || len(tags) == 1 || strings.HasPrefix(digest, repository(tag)+"@") {
				o.Status.RepoDigests = append(o.Status.RepoDigests, digest)
			}
		}
		o.Name = objects.ImageName(id, tag)
		o.CreationTimestamp = o.Status.Created
		o.Labels = accepted
		out = append(out, o)
	}
	return out
}

// repository is a reference without its tag.
func repository(tag string) string {
	if at := strings.LastIndexByte(tag, ':'); at > strings.LastIndexByte(tag, '/') {
		return tag[:at]
	}
	return tag
}

// volumeName is the name of the object of a volume: the volume's own, unless that can't be in the path of a request. No
// volume of the driver local is called so.
func volumeName(name string) string {
	if name == "." || name == ".." || name == "" || strings.ContainsAny(name, "/%") {
		return "vol-" + objects.Hashed(name)
	}
	return name
}

func (t translator) fromVolume(v *volume.Volume) *v1alpha1.Volume {
	o := &v1alpha1.Volume{Status: v1alpha1.VolumeStatus{
		Name: v.Name, Driver: t.Shared(v.Driver), Mountpoint: v.Mountpoint, Scope: t.Shared(v.Scope),
		Created: metav1.Time{Time: parsed(v.CreatedAt)}, Options: v.Options,
	}}
	o.Name = volumeName(v.Name)
	o.CreationTimestamp = o.Status.Created
	o.Status.Labels, o.Labels = t.Labels(v.Labels)
	return o
}

func (t translator) fromNetwork(n *network.Network) *v1alpha1.Network {
	o := &v1alpha1.Network{Status: v1alpha1.NetworkStatus{
		Name: t.Shared(n.Name), ID: n.ID, Driver: t.Shared(n.Driver), Scope: t.Shared(n.Scope), Internal: n.Internal,
		Created: metav1.Time{Time: n.Created},
	}}
	for _, c := range n.IPAM.Config {
		if c.Subnet.IsValid() {
			o.Status.Subnets = append(o.Status.Subnets, c.Subnet.String())
		}
	}
	o.Name = n.ID
	o.CreationTimestamp = o.Status.Created
	o.Status.Labels, o.Labels = t.Labels(n.Labels)
	return o
}

// parsed reads a time of the engine, which writes the first year for none.
func parsed(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

func moment(s string) *metav1.Time {
	if t := parsed(s); !t.IsZero() {
		return &metav1.Time{Time: t}
	}
	return nil
}
