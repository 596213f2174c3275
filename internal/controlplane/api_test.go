package controlplane_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func TestCustomResourceIsDefaultedAndChecked(t *testing.T) {
	client := shared.dynamic.Resource(widgets).Namespace("default")
	made, err := client.Create(t.Context(), widget("checked", map[string]any{"size": int64(5)}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if color, _, _ := unstructured.NestedString(made.Object, "spec", "color"); color != "blue" {
		t.Errorf("the default is %q", color)
	}
	_, err = client.Create(t.Context(), widget("too-large", map[string]any{"size": int64(500)}), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "size must be at most 100") {
		t.Errorf("a CEL rule was not held: %v", err)
	}
	_, err = client.Create(t.Context(), widget("wrong-type", map[string]any{"size": "large"}), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("a wrong type: %v", err)
	}
	status := made.DeepCopy()
	status.Object["status"] = map[string]any{"phase": "Done"}
	if made, err = client.UpdateStatus(t.Context(), status, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if phase, _, _ := unstructured.NestedString(made.Object, "status", "phase"); phase != "Done" {
		t.Errorf("status.phase is %q", phase)
	}
}

func TestPatches(t *testing.T) {
	widgetClient := shared.dynamic.Resource(widgets).Namespace("default")
	if _, err := widgetClient.Create(t.Context(), widget("patched", map[string]any{"size": int64(1)}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	maps := shared.kube.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("patched", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		kind types.PatchType
		data string
		want int64
	}{
		{types.MergePatchType, `{"spec":{"size":2}}`, 2},
		{types.JSONPatchType, `[{"op":"replace","path":"/spec/size","value":3}]`, 3},
	} {
		got, err := widgetClient.Patch(t.Context(), "patched", p.kind, []byte(p.data), metav1.PatchOptions{})
		if err != nil {
			t.Fatalf("%s: %v", p.kind, err)
		}
		if size, _, _ := unstructured.NestedInt64(got.Object, "spec", "size"); size != p.want {
			t.Errorf("%s: size is %d", p.kind, size)
		}
	}
	for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		got, err := maps.Patch(t.Context(), "patched", kind, []byte(`{"data":{"b":"`+string(kind)+`"}}`), metav1.PatchOptions{})
		if err != nil || got.Data["b"] != string(kind) || got.Data["a"] != "1" {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
	}
}

func TestServerSideApplyKeepsOwnersOfFieldsApart(t *testing.T) {
	client := shared.dynamic.Resource(widgets).Namespace("default")
	apply := func(manager string, spec map[string]any, force bool) error {
		_, err := client.Apply(t.Context(), "applied", widget("applied", spec), metav1.ApplyOptions{FieldManager: manager, Force: force})
		return err
	}
	if err := apply("one", map[string]any{"size": int64(1)}, false); err != nil {
		t.Fatal(err)
	}
	if err := apply("two", map[string]any{"color": "red"}, false); err != nil {
		t.Fatal(err)
	}
	if err := apply("two", map[string]any{"size": int64(9)}, false); !apierrors.IsConflict(err) {
		t.Errorf("another's field was taken: %v", err)
	}
	if err := apply("two", map[string]any{"size": int64(9)}, true); err != nil {
		t.Errorf("by force: %v", err)
	}
	got, err := client.Get(t.Context(), "applied", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if color, _, _ := unstructured.NestedString(got.Object, "spec", "color"); color != "blue" {
		t.Errorf("a field that its owner dropped is %q, want the default", color)
	}
	// A built-in kind takes the same way.
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "applied"}, "data": map[string]any{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := shared.kube.CoreV1().ConfigMaps("default").Patch(t.Context(), "applied", types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: "one"})
	if err != nil || m.Data["k"] != "v" {
		t.Errorf("config map: %v, %v", m, err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	all := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	client := shared.dynamic.Resource(widgets).Namespace("default")
	made, err := client.Create(t.Context(), widget("dry", nil), all)
	if err != nil || made.GetUID() == "" {
		t.Fatalf("%v, %v", made, err)
	}
	if _, err := client.Get(t.Context(), "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run wrote: %v", err)
	}
	if _, err := client.Create(t.Context(), widget("dry", map[string]any{"size": int64(500)}), all); !apierrors.IsInvalid(err) {
		t.Errorf("a dry run skipped the rules: %v", err)
	}
	seen := reviews.of("dry")
	if len(seen) == 0 || !seen[0].DryRun {
		t.Errorf("the rule was told %+v", seen)
	}
}

func TestWatchTellsEveryChangeInOrder(t *testing.T) {
	client := shared.dynamic.Resource(widgets).Namespace(namespace(t, shared))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := client.Create(ctx, widget("watched", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"1", "2", "3"} {
		if _, err := client.Patch(ctx, "watched", types.MergePatchType, []byte(`{"spec":{"size":`+size+`}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Delete(ctx, "watched", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Modified, watch.Deleted}
	var got []watch.EventType
	for event := range w.ResultChan() {
		if got = append(got, event.Type); len(got) == len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
}

func TestRuleRefusesWrites(t *testing.T) {
	maps := shared.kube.CoreV1().ConfigMaps("default")
	for _, operation := range []string{"CREATE", "UPDATE", "DELETE"} {
		name := "refused-" + strings.ToLower(operation)
		m := configMap(name, nil)
		m.Labels = map[string]string{"refuse": operation}
		_, err := maps.Create(t.Context(), m, metav1.CreateOptions{})
		if operation != "CREATE" {
			if err != nil {
				t.Fatal(err)
			}
			if operation == "UPDATE" {
				_, err = maps.Patch(t.Context(), name, types.MergePatchType, []byte(`{"data":{"a":"2"}}`), metav1.PatchOptions{})
			} else {
				err = maps.Delete(t.Context(), name, metav1.DeleteOptions{})
			}
		}
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "the rule says no") {
			t.Errorf("%s: %v", operation, err)
		}
		got, err := maps.Get(t.Context(), name, metav1.GetOptions{})
		if operation == "CREATE" {
			if !apierrors.IsNotFound(err) {
				t.Errorf("a refused create: %v", err)
			}
		} else if err != nil || got.Data["a"] != "1" {
			t.Errorf("after a refused %s: %v, %v", operation, got, err)
		}
	}
	m := configMap("refused-status", nil)
	m.Labels = map[string]string{"refuse": "CREATE-conflict"}
	if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("the rule's own status did not pass: %v", err)
	}
}

func TestRuleSeesTheCompleteObject(t *testing.T) {
	maps := shared.kube.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("reviewed", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "reviewed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	seen := reviews.of("reviewed")
	if len(seen) != 2 {
		t.Fatalf("reviews: %+v", seen)
	}
	made, gone := seen[0], seen[1]
	if made.Object == nil || made.Old != nil || made.Object.GetUID() == "" || made.Object.GetKind() != "ConfigMap" || made.Object.GetAPIVersion() != "v1" {
		t.Errorf("create: %+v", made)
	}
	if a, _, _ := unstructured.NestedString(made.Object.Object, "data", "a"); a != "1" {
		t.Errorf("create without its data: %v", made.Object)
	}
	if gone.Object != nil || gone.Old == nil || gone.Old.GetUID() != made.Object.GetUID() || gone.Namespace != "default" || gone.User != "owner" {
		t.Errorf("delete: %+v", gone)
	}
	if _, err := shared.dynamic.Resource(widgets).Namespace("default").Create(t.Context(), widget("reviewed-widget", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if seen := reviews.of("reviewed-widget"); len(seen) != 1 || seen[0].Object.GetKind() != "Widget" || seen[0].Resource != widgets {
		t.Errorf("custom resource: %+v", seen)
	}
}
