package mirror

import (
	"cmp"
	"slices"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/forward"
)

// bindings are the ports that running containers publish.
func bindings(all map[string]*v1alpha1.Container) (out []forward.Binding) {
	for _, c := range all {
		if c.Status.State != v1alpha1.ContainerRunning && c.Status.State != v1alpha1.ContainerPaused {
			continue
		}
		for _, p := range c.Status.Ports {
			if p.HostPort == 0 {
				continue
			}
			out = append(out, forward.Binding{
				Protocol: p.Protocol, HostIP: p.HostIP, HostPort: int(p.HostPort),
				GuestIP: guestAddress(p.HostIP), GuestPort: int(p.HostPort), Container: c.Status.Name,
			})
		}
	}
	slices.SortFunc(out, func(a, b forward.Binding) int {
		return cmp.Or(cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.Container, b.Container))
	})
	return out
}

// guestAddress is where the engine's proxy answers in the guest for a binding to ip.
func guestAddress(ip string) string {
	switch ip {
	case "", "0.0.0.0":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return ip
}
