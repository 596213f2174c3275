package core

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

func containerObject(name, state string) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "id-" + name}, "status": map[string]any{"name": name, "state": state},
	}}
}

// A page compares the objects of two snapshots, so those that have not changed must be the same, also after the watch has
// ended and all are listed again.
func TestObjectsOfTheEngineStayTheSameUntilTheyChange(t *testing.T) {
	kinds := newEngineKinds(nil)
	web, db := containerObject("web", "running"), containerObject("db", "running")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(kinds.containers.replace([]unstructured.Unstructured{web, db}))
	first := kinds.snapshot().Containers
	if len(first) != 2 || first[0].Status.Name != "db" || first[1].Status.Name != "web" {
		t.Fatalf("%+v", first)
	}
	stopped := containerObject("db", "exited")
	must(kinds.containers.apply(watch.Modified, &stopped))
	second := kinds.snapshot().Containers
	if second[0] == first[0] || second[0].Status.State != "exited" || second[1] != first[1] {
		t.Errorf("%+v", second)
	}
	must(kinds.containers.replace([]unstructured.Unstructured{web, stopped, containerObject("new", "created")}))
	third := kinds.snapshot().Containers
	if len(third) != 3 || third[0] != second[0] || third[2] != second[1] {
		t.Errorf("%+v", third)
	}
	must(kinds.containers.apply(watch.Deleted, &web))
	if last := kinds.snapshot().Containers; len(last) != 2 || last[0] != third[0] || len(third) != 3 {
		t.Errorf("%+v, and the snapshot before: %+v", last, third)
	}
}

func TestOnlySomeKindsAreWatched(t *testing.T) {
	if all := newEngineKinds(nil).all(); len(all) != 4 {
		t.Errorf("%d kinds", len(all))
	}
	if some := newEngineKinds([]EngineKind{Containers}).all(); len(some) != 1 || some[0].resource() != "containers" {
		t.Errorf("%+v", some)
	}
}
