package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"rancherdesktop.io/rdd/internal/view"
)

// Set is one resource of each kind, with its store.
type Set struct{ Containers, Images, Volumes, Networks view.Resource }

// NewSet returns resources with empty stores, and without what can be done with the objects.
func NewSet() Set {
	s := Set{Containers(), Images(), Volumes(), Networks()}
	for _, r := range s.All() {
		r.Store.SetReason("The service is starting.")
	}
	return s
}

// All are the resources of the set.
func (s Set) All() []view.Resource {
	return []view.Resource{s.Containers, s.Images, s.Volumes, s.Networks}
}

// ImageName is the name of the object of an image's tag.
func ImageName(id, tag string) string { return "img-" + Hashed(id+"\x00"+tag) }

// Hashed is a short name for something that can't be one itself.
func Hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// Labels of compose.
const (
	ProjectLabel = "com.docker.compose.project"
	ServiceLabel = "com.docker.compose.service"
)

// maxKept is how much of a container's command is kept, in bytes. Some are whole scripts.
const maxKept = 500

// Command is written as docker's list writes it.
func Command(args []string) string {
	var words []string
	for i, arg := range args {
		if i > 0 && strings.Contains(arg, " ") {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	return Cut(strings.Join(words, " "))
}

// Cut shortens a command to what is kept of it.
func Cut(s string) string {
	if len(s) <= maxKept {
		return s
	}
	return strings.ToValidUTF8(s[:maxKept], "") + "…"
}
