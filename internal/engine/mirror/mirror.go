// Package mirror follows an engine's objects: it connects to the engine again and again, keeps in memory what was read of
// it, and says what has to be read again. One package beside it for each engine does the reading.
package mirror

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/view"
)

// Mirror is what was last read of the engine. Only the goroutine of Run changes it; the stores serve everyone.
type Mirror struct {
	stores  stores
	Strings objects.Strings

	complete   bool                           // all has been read once, and is shown
	lost       time.Time                      // since when the engine is not there any more; zero while it is
	Containers map[string]*v1alpha1.Container // by the names of the objects; not to be changed
	images     map[string]*v1alpha1.Image
	volumes    map[string]*v1alpha1.Volume
	networks   map[string]*v1alpha1.Network

	published []forward.Binding
	announced bool // published has been told
}

type stores struct{ containers, images, volumes, networks *view.Store }

// New returns a Mirror that fills the stores of a set.
func New(set objects.Set) *Mirror {
	m := &Mirror{stores: stores{set.Containers.Store, set.Images.Store, set.Volumes.Store, set.Networks.Store}}
	m.forget()
	return m
}

func (m *Mirror) forget() {
	m.Containers = map[string]*v1alpha1.Container{}
	m.images, m.volumes, m.networks = map[string]*v1alpha1.Image{}, map[string]*v1alpha1.Volume{}, map[string]*v1alpha1.Network{}
	m.complete, m.lost, m.published, m.announced = false, time.Time{}, nil, false
}

// Clear empties the view and says why. It reports whether anything had been shown.
func (m *Mirror) Clear(reason string) bool {
	was := m.complete
	m.forget()
	for _, s := range []*view.Store{m.stores.containers, m.stores.images, m.stores.volumes, m.stores.networks} {
		s.SetReason(reason)
	}
	return was
}

// Lose notes that the engine is gone since now. The view stays for a while.
func (m *Mirror) Lose(now time.Time) {
	m.lost = now
}

// Filled reports whether the view shows something.
func (m *Mirror) Filled() bool { return m.complete }

// Expired reports whether the view is older than grace.
func (m *Mirror) Expired(now time.Time, grace time.Duration) bool {
	return !m.complete || !m.lost.IsZero() && now.Sub(m.lost) >= grace
}

// Found notes that the engine is there, and shows all that was read.
func (m *Mirror) Found() {
	m.lost = time.Time{}
	if m.complete {
		return
	}
	m.Settle()
	m.complete = true
	m.stores.containers.Replace(viewed(m.Containers))
	m.stores.images.Replace(viewed(m.images))
	m.stores.volumes.Replace(viewed(m.volumes))
	m.stores.networks.Replace(viewed(m.networks))
}

// object is a pointer to one of the kinds.
type object[T any] interface {
	*T
	view.Object
	DeepCopy() *T
}

func viewed[T any, P object[T]](all map[string]P) (out []view.Object) {
	for _, o := range all {
		out = append(out, o)
	}
	return out
}

// SetContainer keeps a container and shows it.
func (m *Mirror) SetContainer(c *v1alpha1.Container) {
	if was := m.Containers[c.Name]; was != nil && same(was, c) {
		return
	}
	m.Containers[c.Name] = c
	if m.complete {
		m.stores.containers.Apply(c)
	}
}

// RemoveContainer forgets a container, by the name of its object.
func (m *Mirror) RemoveContainer(id string) {
	delete(m.Containers, id)
	if m.complete {
		m.stores.containers.Remove(id)
	}
}

// replaceAll keeps all objects of a kind. settle shows them.
func replaceAll[T any, P object[T]](m map[string]P, store *view.Store, show bool, all []P, users func(P) *[]string) {
	still := map[string]bool{}
	for _, o := range all {
		name := o.GetName()
		still[name] = true
		was := m[name]
		if was != nil {
			*users(o) = *users(was)
		}
		if was == nil || !same(was, o) {
			m[name] = o
		}
	}
	for name := range m {
		if !still[name] {
			delete(m, name)
			if show {
				store.Remove(name)
			}
		}
	}
}

// same reports whether an object is as it was, so that there need be only one copy of it.
func same(was, is view.Object) bool {
	is.SetResourceVersion(was.GetResourceVersion())
	is.SetUID(was.GetUID())
	if equality.Semantic.DeepEqual(was, is) {
		return true
	}
	is.SetResourceVersion("")
	is.SetUID("")
	return false
}

// Settle fills in who uses what, and shows what differs.
func (m *Mirror) Settle() {
	ofImage, ofVolume, ofNetwork := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, c := range m.Containers {
		s := &c.Status
		ofImage[s.Namespace+"/"+s.ImageID] = append(ofImage[s.Namespace+"/"+s.ImageID], s.Name)
		for _, mount := range s.Mounts {
			if mount.Name != "" && !slices.Contains(ofVolume[mount.Name], s.Name) {
				ofVolume[mount.Name] = append(ofVolume[mount.Name], s.Name)
			}
		}
		for _, n := range s.Networks {
			ofNetwork[n] = append(ofNetwork[n], s.Name)
		}
	}
	for _, users := range []map[string][]string{ofImage, ofVolume, ofNetwork} {
		for _, names := range users {
			slices.Sort(names)
		}
	}
	settle(m.images, m.stores.images, m.complete, imageUsers, func(o *v1alpha1.Image) []string { return ofImage[o.Status.Namespace+"/"+o.Status.ID] })
	settle(m.volumes, m.stores.volumes, m.complete, volumeUsers, func(o *v1alpha1.Volume) []string { return ofVolume[o.Status.Name] })
	settle(m.networks, m.stores.networks, m.complete, networkUsers, func(o *v1alpha1.Network) []string { return ofNetwork[o.Status.Name] })
}

// SetImages keeps all images. Settle shows them.
func (m *Mirror) SetImages(all []*v1alpha1.Image) {
	replaceAll(m.images, m.stores.images, m.complete, all, imageUsers)
}

// SetVolumes keeps all volumes. Settle shows them.
func (m *Mirror) SetVolumes(all []*v1alpha1.Volume) {
	replaceAll(m.volumes, m.stores.volumes, m.complete, all, volumeUsers)
}

// SetNetworks keeps all networks. Settle shows them.
func (m *Mirror) SetNetworks(all []*v1alpha1.Network) {
	replaceAll(m.networks, m.stores.networks, m.complete, all, networkUsers)
}

func imageUsers(o *v1alpha1.Image) *[]string     { return &o.Status.Containers }
func volumeUsers(o *v1alpha1.Volume) *[]string   { return &o.Status.Containers }
func networkUsers(o *v1alpha1.Network) *[]string { return &o.Status.Containers }

// settle sets the users of all objects of a kind. Objects that are shown already are not changed, but replaced.
func settle[T any, P object[T]](all map[string]P, store *view.Store, show bool, users func(P) *[]string, names func(P) []string) {
	for name, o := range all {
		shown := o.GetResourceVersion() != ""
		if shown && slices.Equal(*users(o), names(o)) {
			continue
		}
		if shown {
			o = P(o.DeepCopy())
			o.SetResourceVersion("")
			all[name] = o
		}
		*users(o) = names(o)
		if show {
			store.Apply(o)
		}
	}
}

// Running counts the containers that run.
func (m *Mirror) Running() (n int) {
	for _, c := range m.Containers {
		if c.Status.State == v1alpha1.ContainerRunning {
			n++
		}
	}
	return n
}

// Publish returns the ports that are published, and whether they have changed.
func (m *Mirror) Publish() ([]forward.Binding, bool) {
	now := bindings(m.Containers)
	if m.announced && slices.Equal(now, m.published) {
		return nil, false
	}
	m.published, m.announced = now, true
	return now, true
}

// KnowsImage reports whether an image with this ID was in the last list.
func (m *Mirror) KnowsImage(id string) bool {
	for _, i := range m.images {
		if i.Status.ID == id {
			return true
		}
	}
	return id == ""
}
