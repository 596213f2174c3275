package server

import (
	"slices"
	"testing"

	"rancherdesktop.io/rdd/internal/api"
	"rancherdesktop.io/rdd/internal/datastore"
)

func TestEveryControllerIsInBothLists(t *testing.T) {
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var names []string
	for _, c := range (&Run{}).controllers(store, nil, nil, (&Run{}).newDesktop()) {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, api.Controllers()) {
		t.Errorf("the service has %q, clients know %q", names, api.Controllers())
	}
}
