package objects

import "k8s.io/apimachinery/pkg/util/validation"

const (
	// maxStrings is how many strings are kept to be shared, and maxSharedValue how long a label's value may be for that:
	// longer ones are mostly hashes, which differ.
	maxStrings     = 4096
	maxSharedValue = 63
)

// Strings lets objects share the strings that many of them have, such as the keys of labels, the image and the project:
// a third of their memory. Its zero value is ready to use, by one goroutine at a time.
type Strings struct{ known map[string]string }

// Shared returns a string that equals text, the same one each time.
func (s *Strings) Shared(text string) string {
	if known, ok := s.known[text]; ok {
		return known
	}
	if s.known == nil || len(s.known) >= maxStrings {
		s.known = map[string]string{}
	}
	s.known[text] = text
	return text
}

// Labels returns the engine's labels for status.labels, and those of them that Kubernetes accepts, for metadata.labels:
// the same map if it accepts all.
func (s *Strings) Labels(engine map[string]string) (all, accepted map[string]string) {
	if len(engine) == 0 {
		return nil, nil
	}
	all = make(map[string]string, len(engine))
	n := 0
	for key, value := range engine {
		if len(value) <= maxSharedValue {
			value = s.Shared(value)
		}
		all[s.Shared(key)] = value
		if isLabel(key, value) {
			n++
		}
	}
	if n == len(all) {
		return all, all
	}
	accepted = make(map[string]string, n)
	for key, value := range all {
		if isLabel(key, value) {
			accepted[key] = value
		}
	}
	return all, accepted
}

func isLabel(key, value string) bool {
	return len(validation.IsQualifiedName(key)) == 0 && len(validation.IsValidLabelValue(value)) == 0
}
