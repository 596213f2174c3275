package core

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/instance"
)

func TestInterruptedCreateReportsWhetherItCreatedAVM(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	posts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		posts++
		interrupt()
		vm := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&vm); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(vm)
	}))
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	vms := (&Session{New(instance.At("/nowhere", "default", ""), "test"), client}).VMs()
	var created *VM
	o := CreateOptions{Text: "images: []\n", Created: func(vm *VM) { created = vm }}

	err = vms.Create(ctx, "demo", o, Wait{})
	if KindOf(err) != Canceled || !errors.Is(err, context.Canceled) || NothingBegan(err) || created == nil || created.Name != "demo" {
		t.Errorf("during the request: %v, created %v", err, created)
	}
	created = nil
	err = vms.Create(ctx, "demo", o, Wait{})
	if KindOf(err) != Canceled || !NothingBegan(err) || created != nil || posts != 1 {
		t.Errorf("before the request: %v, created %v, %d requests", err, created, posts)
	}
}
