package controlplane_test

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/testenv"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

const widgetsName = "widgets.test.rdd.io"

func TestDeletingADefinitionOfTheServiceIsRefused(t *testing.T) {
	name := namespace(t, shared)
	if _, err := shared.dynamic.Resource(widgets).Namespace(name).Create(t.Context(), widget("kept", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	asService := remoteConfig(shared.Endpoint())
	asService.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:kube-system:generic-garbage-collector", Groups: []string{"system:masters"}}
	impersonated, err := dynamic.NewForConfig(asService)
	if err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	foreground := metav1.DeletePropagationForeground
	own, service := shared.dynamic.Resource(definitions), impersonated.Resource(definitions)
	for what, refused := range map[string]error{
		"delete":               own.Delete(t.Context(), widgetsName, metav1.DeleteOptions{}),
		"forced":               own.Delete(t.Context(), widgetsName, metav1.DeleteOptions{GracePeriodSeconds: &now}),
		"foreground":           own.Delete(t.Context(), widgetsName, metav1.DeleteOptions{PropagationPolicy: &foreground}),
		"dry run":              own.Delete(t.Context(), widgetsName, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}),
		"all":                  own.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + widgetsName}),
		"by the service":       service.Delete(t.Context(), widgetsName, metav1.DeleteOptions{}),
		"all, by the service":  service.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + widgetsName}),
		"namespace by service": impersonated.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Delete(t.Context(), ownedName, metav1.DeleteOptions{}),
	} {
		if !apierrors.IsForbidden(refused) || !strings.Contains(refused.Error(), "belongs to the service") {
			t.Errorf("%s: %v", what, refused)
		}
	}
	if _, err := shared.dynamic.Resource(widgets).Namespace(name).Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error("an object went:", err)
	}
}

func TestChangingADefinitionOfTheServiceIsRefused(t *testing.T) {
	own := shared.dynamic.Resource(definitions)
	for _, tc := range []struct{ patch, field, subresource string }{
		{`[{"op":"add","path":"/spec/names/shortNames","value":["w"]}]`, "spec", ""},
		{`[{"op":"replace","path":"/spec/versions/0/served","value":false}]`, "spec", ""},
		{`[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/status"}]`, "spec", ""},
		{`[{"op":"remove","path":"/spec/versions/0/subresources"}]`, "spec", ""},
		{`[{"op":"add","path":"/metadata/finalizers","value":["a.example/b"]}]`, "metadata.finalizers", ""},
		{`[{"op":"add","path":"/metadata/ownerReferences","value":[` + ownedByNobody + `]}]`, "metadata.ownerReferences", ""},
		{`[{"op":"replace","path":"/status/conditions","value":[]}]`, "status", "status"},
	} {
		_, err := own.Patch(t.Context(), widgetsName, types.JSONPatchType, []byte(tc.patch), metav1.PatchOptions{}, strings.Fields(tc.subresource)...)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "its "+tc.field+" can't be changed") {
			t.Errorf("%s: %v", tc.patch, err)
		}
	}
	_, err := shared.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Patch(t.Context(), ownedName, types.MergePatchType, []byte(`{"metadata":{"ownerReferences":[`+ownedByNobody+`]}}`), metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) {
		t.Error("an owner of the service's namespace:", err)
	}
	// What changes nothing that matters is the user's.
	stored, err := own.Get(t.Context(), widgetsName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored.SetLabels(map[string]string{"mine": "yes"})
	if _, err := own.Update(t.Context(), stored, metav1.UpdateOptions{}); err != nil {
		t.Error("a label:", err)
	}
}

const ownedByNobody = `{"apiVersion":"v1","kind":"ConfigMap","name":"nobody","uid":"0ea41ba5-5d4c-4a4e-9c0e-6f3d3d9c2b11"}`

func TestDefinitionOfAUserIsTheUsers(t *testing.T) {
	own := shared.dynamic.Resource(definitions)
	d := definition("Gadget", apiextensionsv1.ClusterScoped)
	gadget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": d.Name},
		"spec": map[string]any{"group": d.Spec.Group, "scope": "Cluster", "names": map[string]any{"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}}},
	}}
	if _, err := own.Create(t.Context(), gadget, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := own.Delete(t.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// A definition that somebody took out of the store left a service without its kind until it was started
// again, twice.
func TestDefinitionThatGoesIsMadeAgainAtOnce(t *testing.T) {
	s := own(t, t.TempDir(), nil)
	kept := s.dynamic.Resource(widgets).Namespace("default")
	if _, err := kept.Create(t.Context(), widget("kept", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := s.dynamic.Resource(definitions).Get(t.Context(), widgetsName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	erase(t, s, "/registry/apiextensions.k8s.io/customresourcedefinitions/"+widgetsName)
	testenv.Eventually(t, "the definition is there again", func() bool {
		now, err := s.dynamic.Resource(definitions).Get(t.Context(), widgetsName, metav1.GetOptions{})
		return err == nil && now.GetUID() != before.GetUID()
	})
	testenv.Eventually(t, "its objects are served again", func() bool {
		_, err := kept.Get(t.Context(), "kept", metav1.GetOptions{})
		return err == nil
	})
	if _, err := kept.Create(t.Context(), widget("new", nil), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

// erase takes a key out of the server's store.
func erase(t *testing.T, s *server, key string) {
	t.Helper()
	client := s.store.Client.Kubernetes
	for revision := int64(-1); ; {
		r, err := client.OptimisticDelete(t.Context(), key, revision, kubernetes.DeleteOptions{GetOnFailure: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Succeeded { // else somebody was quicker
			return
		}
		revision = r.KV.ModRevision
	}
}
