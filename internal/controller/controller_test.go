package controller

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestTwoControllersShareOneCache(t *testing.T) {
	in := func(namespaces ...string) cache.ByObject {
		by := cache.ByObject{Namespaces: map[string]cache.Config{}}
		for _, n := range namespaces {
			by.Namespaces[n] = cache.Config{}
		}
		return by
	}
	wants := func(by cache.ByObject) Controller {
		return Controller{Cached: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: by}}
	}
	for _, tc := range []struct {
		name        string
		controllers []Controller
		want        []string // nil: all namespaces
	}{
		{"one", []Controller{wants(in("a"))}, []string{"a"}},
		{"two namespaces", []Controller{wants(in("a")), wants(in("b", "a"))}, []string{"a", "b"}},
		{"all of them", []Controller{wants(in("a")), wants(cache.ByObject{})}, nil},
		{"all of them first", []Controller{wants(cache.ByObject{}), wants(in("a"))}, nil},
	} {
		all := Cached(tc.controllers)
		if len(all) != 1 {
			t.Errorf("%s: %d entries", tc.name, len(all))
		}
		for _, by := range all {
			if got := slices.Sorted(maps.Keys(by.Namespaces)); !slices.Equal(got, tc.want) {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
		}
	}
}
