package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/app/page"
)

func TestPageTypesAreFresh(t *testing.T) {
	want, err := generate(page.Methods())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "frontend", "src", "lib", "api.ts")
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is stale: run make generate (%v)", path, err)
	}
}

type embedded struct {
	Size int64 `json:"size,omitempty"`
}

func TestGoTypesInTypeScript(t *testing.T) {
	type Params struct {
		embedded
		Name    string            `json:"name"`
		Params  map[string]string `json:"params"`
		Stream  *page.Stream      `json:"stream,omitempty"`
		Created time.Time         `json:"created"`
		Hidden  int               `json:"-"`
	}
	got, err := generate([]page.Method{{Name: "vm.x", Params: reflect.TypeFor[Params](), Result: reflect.TypeFor[[]page.Ref]()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"size?: number;", "name: string;", "params: {[key: string]: string};", "stream?: Stream;", "created: string;",
		"export interface Ref {", "  'vm.x': [Params, Ref[]]\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Hidden") {
		t.Errorf("a field that is not in JSON is in:\n%s", got)
	}
}

func TestTwoTypesOfOneNameAreRefused(t *testing.T) {
	type Ref struct {
		Other string `json:"other"`
	}
	_, err := generate([]page.Method{{Name: "x", Params: reflect.TypeFor[Ref](), Result: reflect.TypeFor[page.Ref]()}})
	if err == nil || !strings.Contains(err.Error(), "Ref") {
		t.Errorf("got %v", err)
	}
}
