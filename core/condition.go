package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/wait"
)

// Condition is a condition of one object to wait for.
type Condition struct {
	Type      string // of the object: any name that kubectl accepts
	Name      string
	Namespace string // of a namespaced object; empty: default
	Condition string
	Status    metav1.ConditionStatus
	Reason    string    // empty: any
	Since     time.Time // ignore a condition whose status is older; zero: accept any
	Startup   bool      // as Since, with the time at which this run of the service became ready
}

func (c Condition) String() string {
	s := c.Condition + "=" + string(c.Status)
	if c.Reason != "" {
		s += " with reason " + c.Reason
	}
	return s
}

// WaitCondition waits until an object of the control plane has a condition, for the object's current generation. If the
// object is deleted or replaced by another one of the same name, the wait fails.
func (s *Session) WaitCondition(ctx context.Context, c Condition, w Wait) error {
	op := fmt.Sprintf("wait for %s of %s", c, c.Type)
	all, err := s.kinds(ctx)
	if err != nil {
		return Failed(op, c.Name, err)
	}
	k, err := kindNamed(all, c.Type)
	if err != nil {
		return &Error{Kind: Usage, Op: op, Object: c.Name, Err: err}
	}
	if c.Startup {
		if c.Since, err = s.startup(ctx); err != nil {
			return Failed(op, c.Name, err)
		}
	}
	resource := func(client dynamic.Interface) dynamic.ResourceInterface { return k.in(client, c.Namespace) }
	return w.run(ctx, op, c.Name, func(ctx context.Context, o *operation) error {
		j := &conditionCheck{condition: c, operation: o}
		return wait.Until(ctx, s.reconnecting(resource, o), c.Name, j.check)
	})
}

// in returns the client for the objects of a kind.
func (k kind) in(client dynamic.Interface, namespace string) dynamic.ResourceInterface {
	if !k.namespaced {
		return client.Resource(k.GroupVersionResource)
	}
	return client.Resource(k.GroupVersionResource).Namespace(cmp.Or(namespace, metav1.NamespaceDefault))
}

// conditionCheck checks each version of one object.
type conditionCheck struct {
	condition Condition
	operation *operation
	uid       types.UID // of the first object seen
}

func (j *conditionCheck) check(obj *unstructured.Unstructured) (done bool, err error) {
	switch {
	case j.uid == "" && obj == nil:
		return false, &Error{Kind: NotFound, Err: errors.New("there is no such object")}
	case obj == nil || j.uid != "" && obj.GetUID() != j.uid:
		return false, fmt.Errorf("%s %q %w", j.condition.Type, j.condition.Name, v1alpha1.ErrDeleted)
	}
	j.uid = obj.GetUID()
	conditions, observed, err := conditionsOf(obj)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(conditions, func(c metav1.Condition) bool { return c.Type == j.condition.Condition })
	if i < 0 {
		j.operation.report(Event{Phase: "absent", Message: "the object has no condition " + j.condition.Condition})
		return false, nil
	}
	seen := conditions[i]
	j.operation.report(Event{Phase: strings.ToLower(seen.Reason), Message: seen.Message})
	return j.condition.met(seen, observed, obj.GetGeneration()), nil
}

// met reports whether the condition seen is c, for the generation now. observed is the generation that the status has
// observed. If an object doesn't report observed generations, its conditions count as current.
func (c Condition) met(seen metav1.Condition, observed, now int64) bool {
	if seen.ObservedGeneration != 0 {
		observed = seen.ObservedGeneration
	}
	return seen.Status == c.Status &&
		(c.Reason == "" || c.Reason == seen.Reason) &&
		(observed == 0 || observed >= now) &&
		!seen.LastTransitionTime.Time.Before(c.Since)
}

// conditionsOf reads an object's conditions, and the generation that its status has observed; 0 if it doesn't report one.
func conditionsOf(obj *unstructured.Unstructured) ([]metav1.Condition, int64, error) {
	status, _, _ := unstructured.NestedMap(obj.Object, "status")
	var s struct {
		ObservedGeneration int64              `json:"observedGeneration"`
		Conditions         []metav1.Condition `json:"conditions"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &s); err != nil {
		return nil, 0, fmt.Errorf("read the conditions: %w", err)
	}
	return s.Conditions, s.ObservedGeneration, nil
}

// discoveryName is the name of the ConfigMap that each run of the service writes when it is ready.
const discoveryName = "rdd-controller-manager"

// startup returns the time at which this run of the service became ready, by the server's clock: when it wrote the
// discovery ConfigMap.
func (s *Session) startup(ctx context.Context) (time.Time, error) {
	cm, err := s.configMaps(v1alpha1.SystemNamespace).Get(ctx, discoveryName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("the start time of the service is not known; there is no ConfigMap %s in %s", discoveryName, v1alpha1.SystemNamespace)
	}
	if err != nil {
		return time.Time{}, err
	}
	written := cm.GetCreationTimestamp().Time
	for _, entry := range cm.GetManagedFields() {
		if entry.Time != nil && entry.Time.After(written) {
			written = entry.Time.Time
		}
	}
	return written, nil
}

// Types names the types of objects that the control plane serves, for shell completion.
func (s *Session) Types(ctx context.Context) ([]string, error) {
	all, err := s.kinds(ctx)
	if err != nil {
		return nil, Failed("list the types of objects", "", err)
	}
	var names []string
	for _, k := range all {
		names = append(names, k.names[1])
	}
	return names, nil
}

// Names lists the objects of a type with their conditions, for shell completion.
func (s *Session) Names(ctx context.Context, typeName, namespace string) (map[string][]string, error) {
	const op = "list objects of type"
	all, err := s.kinds(ctx)
	if err != nil {
		return nil, Failed(op, typeName, err)
	}
	k, err := kindNamed(all, typeName)
	if err != nil {
		return nil, Failed(op, typeName, err)
	}
	list, err := k.in(s.client, namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, Failed(op, typeName, err)
	}
	names := map[string][]string{}
	for i := range list.Items {
		types := []string{}
		conditions, _, _ := conditionsOf(&list.Items[i]) // with an error, there is nothing to complete
		for _, c := range conditions {
			types = append(types, c.Type)
		}
		names[list.Items[i].GetName()] = types
	}
	return names, nil
}
