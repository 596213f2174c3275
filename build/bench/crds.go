package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	crdCount   = 5
	crdGroup   = "bench.example.com"
	crdTimeout = time.Minute
)

// measureCRDs applies five CRDs at once to a running service.
func (b *bench) measureCRDs(ctx context.Context) error {
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	for n := range b.runs {
		b.logf("crds: run %d of %d", n+1, b.runs)
		if err := b.measureDefinitions(ctx, client, n); err != nil {
			return err
		}
	}
	return b.remove(ctx, s)
}

func (b *bench) measureDefinitions(ctx context.Context, client dynamic.Interface, run int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, crdTimeout, fmt.Errorf("%w: not established within %s", context.DeadlineExceeded, crdTimeout))
	defer cancel()
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	w, err := crds.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer w.Stop()
	plurals := make([]string, crdCount)
	for i := range plurals {
		plurals[i] = fmt.Sprintf("run%dkind%ds", run, i)
	}

	began := time.Now()
	err = each(plurals, func(plural string) error {
		_, err := crds.Apply(ctx, plural+"."+crdGroup, definition(plural), metav1.ApplyOptions{FieldManager: "bench"})
		return err
	})
	if err != nil {
		return err
	}
	if err := awaitEstablished(ctx, w, plurals); err != nil {
		return err
	}
	established := time.Since(began)
	for _, plural := range plurals {
		gvr := schema.GroupVersionResource{Group: crdGroup, Version: "v1", Resource: plural}
		if _, err := client.Resource(gvr).List(ctx, metav1.ListOptions{}); err != nil {
			return fmt.Errorf("list %s: %w", plural, err)
		}
	}
	b.add("crds.established", milliseconds(established))
	b.add("crds.listed", milliseconds(time.Since(began)))
	for _, plural := range plurals {
		if err := crds.Delete(ctx, plural+"."+crdGroup, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// awaitEstablished waits until the watch has delivered each CRD with the condition Established.
func awaitEstablished(ctx context.Context, w watch.Interface, plurals []string) error {
	established := map[string]bool{}
	_, err := watchtools.UntilWithoutRetry(ctx, w, func(e watch.Event) (bool, error) {
		if crd, ok := e.Object.(*unstructured.Unstructured); ok && conditionStatus(crd, "Established") == "True" {
			established[crd.GetName()] = true
		}
		return !slices.ContainsFunc(plurals, func(plural string) bool { return !established[plural+"."+crdGroup] }), nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// conditionStatus returns the status of a condition of obj, or "" when obj doesn't have it.
func conditionStatus(obj *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			status, _ := c["status"].(string)
			return status
		}
	}
	return ""
}

// definition returns a small CRD with a schema, a status and a column, as real ones have.
func definition(plural string) *unstructured.Unstructured {
	kind := "K" + plural[1:len(plural)-1]
	text := map[string]any{"type": "string"}
	schema := map[string]any{"type": "object", "properties": map[string]any{
		"spec":   map[string]any{"type": "object", "properties": map[string]any{"name": text, "count": map[string]any{"type": "integer", "minimum": int64(0)}}},
		"status": map[string]any{"type": "object", "properties": map[string]any{"phase": text}},
	}}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + crdGroup},
		"spec": map[string]any{
			"group": crdGroup, "scope": "Namespaced",
			"names": map[string]any{"plural": plural, "singular": plural[:len(plural)-1], "kind": kind, "listKind": kind + "List"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema":                   map[string]any{"openAPIV3Schema": schema},
				"subresources":             map[string]any{"status": map[string]any{}},
				"additionalPrinterColumns": []any{map[string]any{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}},
			}},
		},
	}}
}
