// Package view keeps objects that live elsewhere, such as the containers of an engine, in memory, for the control plane
// to serve them as it serves stored ones: get, list, and watch from a resource version. Whoever mirrors them fills a
// Store; internal/controlplane serves a Resource. Nothing of them is ever written anywhere.
package view

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxEvents is how many events are kept for watches that resume or are slow, and maxEventAge for how long.
	maxEvents   = 2048
	maxEventAge = 2 * time.Minute
)

// Object is a pointer to a struct with TypeMeta and ObjectMeta. A Store owns what it is given: nobody may change it then.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind is what a Store has to know of its objects. Only New is required.
type Kind struct {
	// New returns an empty object.
	New func() Object
	// Fields are what field selectors can ask for, beside metadata.name.
	Fields map[string]func(Object) string
	// Names are other names by which people know an object.
	Names func(Object) []string
	// ID is an identifier of which an unambiguous beginning is a name, too.
	ID func(Object) string
	// Compare orders lists; nil: by name.
	Compare func(a, b Object) int
}

// Selector chooses objects; what is nil chooses all.
type Selector struct {
	Labels labels.Selector
	Fields fields.Selector
}

// ErrNotFound says that there is no such object.
var ErrNotFound = errors.New("not found")

// AmbiguousError says that several objects have an ID that begins so, or are called so.
type AmbiguousError struct {
	Prefix string
	Names  []string // of the objects
	Called bool     // it is not the beginning of an ID
}

func (e *AmbiguousError) Error() string {
	if e.Called {
		return fmt.Sprintf("%d objects are called %q; use one of: %s", len(e.Names), e.Prefix, strings.Join(e.Names, ", "))
	}
	return fmt.Sprintf("%d objects have an ID that begins with %q; give more of it", len(e.Names), e.Prefix)
}

// Store has the objects of one kind. Its methods can be called at any time from any goroutine, and never wait for a reader.
type Store struct {
	kind  Kind
	start time.Time

	mu      sync.Mutex
	objects map[string]Object
	reason  string
	version uint64  // of the newest event
	dropped uint64  // of the newest event that is not in events any more
	events  []event // from dropped+1 to version
	aging   bool    // they will be trimmed in a while
	changed chan struct{}
}

// event is one change: was is nil when the object is new, is when it is gone.
type event struct {
	was, is Object
	age     time.Duration // since the start of the store
}

// New returns an empty store. Its resource versions are above those of an earlier run, unless the clock was set back,
// and never among them: a version of another run is never taken for one of this.
func New(kind Kind) *Store {
	now := time.Now()
	base := uint64(now.UnixMilli()) << 20
	return &Store{kind: kind, start: now, objects: map[string]Object{}, version: base, dropped: base}
}

// Replace says that these are all the objects there are, and that the view is live.
func (s *Store) Replace(all []Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = ""
	s.replace(all)
}

// Apply adds an object, or replaces the one with its name. Nothing happens if nothing differs.
func (s *Store) Apply(o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(o)
	s.trim()
}

// Remove says that an object is gone. Nothing happens if it is unknown.
func (s *Store) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(name)
	s.trim()
}

// SetReason says why there is nothing to see, in a sentence for people that says what to do, and removes all objects.
// An empty reason says that the view is live; it removes nothing.
func (s *Store) SetReason(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
	if reason != "" {
		s.replace(nil)
	}
}

// Reason says why there is nothing to see; empty while the view is live.
func (s *Store) Reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Get returns an object by its name, by another name that it has, or by the beginning of its ID if no other's begins so.
// The error is ErrNotFound or an *AmbiguousError.
func (s *Store) Get(name string) (Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(name)
}

// List returns the objects that are selected, in order, and the resource version to watch from.
func (s *Store) List(by Selector) (objects []Object, resourceVersion string) {
	s.mu.Lock()
	by = s.resolved(by)
	objects = slices.AppendSeq(make([]Object, 0, len(s.objects)), maps.Values(s.objects))
	version := s.version
	s.mu.Unlock()
	objects = slices.DeleteFunc(objects, func(o Object) bool { return !s.selects(by, o) })
	slices.SortFunc(objects, s.compare)
	return objects, format(version)
}

// FieldNames are those that field selectors can ask for.
func (s *Store) FieldNames() []string {
	return slices.Sorted(maps.Keys(s.kind.Fields))
}

func (s *Store) compare(a, b Object) int {
	if s.kind.Compare != nil {
		if order := s.kind.Compare(a, b); order != 0 {
			return order
		}
	}
	return strings.Compare(a.GetName(), b.GetName())
}

func (s *Store) replace(all []Object) {
	still := make(map[string]bool, len(all))
	for _, o := range all {
		still[o.GetName()] = true
	}
	for name := range s.objects {
		if !still[name] {
			s.remove(name)
		}
	}
	for _, o := range all {
		s.apply(o)
	}
	s.trim()
}

func (s *Store) apply(o Object) {
	was := s.objects[o.GetName()]
	if o.GetUID() == "" {
		o.SetUID(identity(o, was))
	}
	switch {
	case was == nil:
		s.add(event{is: o})
	case was.GetUID() != o.GetUID(): // another object with the same name
		s.add(event{was: was})
		s.add(event{is: o})
	default:
		o.SetResourceVersion(was.GetResourceVersion())
		if equality.Semantic.DeepEqual(was, o) {
			return
		}
		s.add(event{was: was, is: o})
	}
	o.SetResourceVersion(format(s.version))
	s.objects[o.GetName()] = o
}

func (s *Store) remove(name string) {
	if was := s.objects[name]; was != nil {
		delete(s.objects, name)
		s.add(event{was: was})
	}
}

// add appends an event and wakes the watchers, who can't read before the lock is free.
func (s *Store) add(e event) {
	e.age = time.Since(s.start)
	s.events = append(s.events, e)
	s.version++
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// trim forgets events that are too many or too old, now and in a while.
func (s *Store) trim() {
	s.forget()
	if len(s.events) > 0 && !s.aging {
		s.aging = true
		time.AfterFunc(maxEventAge, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.aging = false
			s.trim()
		})
	}
}

func (s *Store) forget() {
	old := max(0, len(s.events)-maxEvents)
	for oldest := time.Since(s.start) - maxEventAge; old < len(s.events) && s.events[old].age < oldest; {
		old++
	}
	if old == 0 {
		return
	}
	clear(s.events[:old])
	s.events = s.events[old:]
	s.dropped += uint64(old)
	if len(s.events) == 0 {
		s.events = nil
	}
}

func (s *Store) find(name string) (Object, error) {
	if o := s.objects[name]; o != nil {
		return o, nil
	}
	if name == "" {
		return nil, ErrNotFound
	}
	var called, begins []string
	for _, o := range s.objects {
		if s.kind.Names != nil && slices.Contains(s.kind.Names(o), name) {
			called = append(called, o.GetName())
		}
		if s.kind.ID != nil && strings.HasPrefix(s.kind.ID(o), name) {
			begins = append(begins, o.GetName())
		}
	}
	slices.Sort(called)
	switch {
	case len(called) > 0 && s.sameSpace(called):
		return s.objects[called[0]], nil
	case len(called) > 0:
		return nil, &AmbiguousError{name, called, true}
	case len(begins) == 0:
		return nil, ErrNotFound
	case len(begins) == 1:
		return s.objects[begins[0]], nil
	}
	slices.Sort(begins)
	return nil, &AmbiguousError{name, begins, false}
}

// sameSpace reports whether objects are in the same namespace of the engine. There, a name means one thing, though it may have
// several objects: an image has one for each tag.
func (s *Store) sameSpace(names []string) bool {
	namespace := s.kind.Fields[namespaceField]
	return namespace == nil || !slices.ContainsFunc(names, func(name string) bool {
		return namespace(s.objects[name]) != namespace(s.objects[names[0]])
	})
}

// resolved replaces another name of an object in a selector by its name: clients watch what they got by that name.
func (s *Store) resolved(by Selector) Selector {
	if by.Fields == nil {
		return by
	}
	name, exact := by.Fields.RequiresExactMatch(nameField)
	if !exact {
		return by
	}
	o, err := s.find(name)
	if err != nil || o.GetName() == name {
		return by
	}
	replaced, err := by.Fields.Transform(func(field, value string) (string, string, error) {
		if field == nameField {
			value = o.GetName()
		}
		return field, value, nil
	})
	if err != nil { // the function above has no errors
		return by
	}
	by.Fields = replaced
	return by
}

const (
	nameField      = "metadata.name"
	namespaceField = "status.namespace"
)

func (s *Store) selects(by Selector, o Object) bool {
	if o == nil {
		return false
	}
	if by.Labels != nil && !by.Labels.Empty() && !by.Labels.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	return by.Fields == nil || by.Fields.Empty() || by.Fields.Matches(fieldsOf{s.kind.Fields, o})
}

// fieldsOf is an object as field selectors see it.
type fieldsOf struct {
	known map[string]func(Object) string
	o     Object
}

func (f fieldsOf) Has(field string) bool { return field == nameField || f.known[field] != nil }

func (f fieldsOf) Get(field string) string {
	if field == nameField {
		return f.o.GetName()
	}
	if value := f.known[field]; value != nil {
		return value(f.o)
	}
	return ""
}

// identity makes a UID for an object that has none: the same as before, as long as it is the same object.
func identity(o, was Object) types.UID {
	if was != nil && was.GetCreationTimestamp() == o.GetCreationTimestamp() {
		return was.GetUID()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%T\x00%s\x00%d", o, o.GetName(), o.GetCreationTimestamp().UnixNano()))
	h := hex.EncodeToString(sum[:16])
	return types.UID(strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
}

func format(version uint64) string { return strconv.FormatUint(version, 10) }

// shallow returns a copy that shares all but the outermost struct, for a reader who sets its kind or resource version.
func shallow(o Object) Object {
	from := reflect.ValueOf(o).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(Object) //nolint:forcetypeassert // of the type of o
}
