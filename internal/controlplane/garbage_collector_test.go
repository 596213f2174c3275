package controlplane_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clientset "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"rancherdesktop.io/rdd/internal/testenv"
)

func makeOwner(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	made, err := shared.dynamic.Resource(owners).Create(t.Context(), object(owners, "Owner", name, nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// createDependent creates a ConfigMap that has an owner, and waits until the collector has seen it.
func createDependent(t *testing.T, maps typedcorev1.ConfigMapInterface, dependent *corev1.ConfigMap) {
	t.Helper()
	gone := object(owners, "Owner", "never-there", nil)
	gone.SetUID("never-there")
	for _, m := range []*corev1.ConfigMap{dependent, configMap("seen-after-"+dependent.Name, gone)} {
		if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "the collector sees the dependent", func() bool {
		_, err := maps.Get(t.Context(), "seen-after-"+dependent.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func deleting(policy metav1.DeletionPropagation) metav1.DeleteOptions {
	return metav1.DeleteOptions{PropagationPolicy: &policy}
}

func TestOwnerTakesItsDependentsAlong(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		t.Run(string(policy), func(t *testing.T) {
			maps := shared.kube.CoreV1().ConfigMaps(namespace(t, shared))
			owner := makeOwner(t, "owner-"+strings.ToLower(string(policy)))
			createDependent(t, maps, configMap("dependent", owner))
			if _, err := maps.Create(t.Context(), configMap("bystander", nil), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := shared.dynamic.Resource(owners).Delete(t.Context(), owner.GetName(), deleting(policy)); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, "the dependent goes", func() bool {
				_, err := maps.Get(t.Context(), "dependent", metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			testenv.Eventually(t, "the owner goes", func() bool {
				_, err := shared.dynamic.Resource(owners).Get(t.Context(), owner.GetName(), metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			if _, err := maps.Get(t.Context(), "bystander", metav1.GetOptions{}); err != nil {
				t.Errorf("an object without that owner: %v", err)
			}
		})
	}
}

func TestForegroundDeletionWaitsForTheDependent(t *testing.T) {
	maps := shared.kube.CoreV1().ConfigMaps(namespace(t, shared))
	owner := makeOwner(t, "owner-that-waits")
	held := configMap("held", owner)
	held.Finalizers = []string{"test.rdd.io/held"}
	createDependent(t, maps, held)
	if err := shared.dynamic.Resource(owners).Delete(t.Context(), owner.GetName(), deleting(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the dependent is asked to go", func() bool {
		m, err := maps.Get(t.Context(), "held", metav1.GetOptions{})
		return err == nil && m.DeletionTimestamp != nil
	})
	if _, err := shared.dynamic.Resource(owners).Get(t.Context(), owner.GetName(), metav1.GetOptions{}); err != nil {
		t.Errorf("the owner left before its dependent: %v", err)
	}
	if _, err := maps.Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the owner goes", func() bool {
		_, err := shared.dynamic.Resource(owners).Get(t.Context(), owner.GetName(), metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestOrphanStays(t *testing.T) {
	maps := shared.kube.CoreV1().ConfigMaps(namespace(t, shared))
	owner := makeOwner(t, "owner-of-an-orphan")
	createDependent(t, maps, configMap("orphan", owner))
	if err := shared.dynamic.Resource(owners).Delete(t.Context(), owner.GetName(), deleting(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the owner goes", func() bool {
		_, err := shared.dynamic.Resource(owners).Get(t.Context(), owner.GetName(), metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	m, err := maps.Get(t.Context(), "orphan", metav1.GetOptions{})
	if err != nil || len(m.OwnerReferences) != 0 {
		t.Errorf("the orphan: %v, %v", m, err)
	}
}

// A kind that is defined while the server runs is collected too.
func TestDependentOfALaterKindIsCollected(t *testing.T) {
	client, err := clientset.NewForConfig(remoteConfig(shared.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	later := definition("Later", apiextensionsv1.NamespaceScoped)
	if _, err := definitions.Create(t.Context(), later, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	owner := makeOwner(t, "owner-of-a-later")
	dependent := object(schema.GroupVersionResource{Group: "test.rdd.io", Version: "v1"}, "Later", "dependent", nil)
	dependent.SetOwnerReferences(configMap("", owner).OwnerReferences)
	laters := shared.dynamic.Resource(schema.GroupVersionResource{Group: "test.rdd.io", Version: "v1", Resource: "laters"}).Namespace("default")
	testenv.Eventually(t, "the new kind is served", func() bool {
		_, err := laters.Create(t.Context(), dependent, metav1.CreateOptions{})
		return err == nil
	})
	if err := shared.dynamic.Resource(owners).Delete(t.Context(), owner.GetName(), deleting(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the dependent goes", func() bool {
		_, err := laters.Get(t.Context(), "dependent", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if err := definitions.Delete(t.Context(), later.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the definition goes", func() bool {
		_, err := definitions.Get(t.Context(), later.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestNamespaceWithContentsGoes(t *testing.T) {
	name := namespace(t, shared)
	if _, err := shared.kube.CoreV1().ConfigMaps(name).Create(t.Context(), configMap("content", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	held := widget("held", nil)
	held.SetFinalizers([]string{"test.rdd.io/held"})
	if _, err := shared.dynamic.Resource(widgets).Namespace(name).Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	namespaces := shared.kube.CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the content is asked to go", func() bool {
		w, err := shared.dynamic.Resource(widgets).Namespace(name).Get(t.Context(), "held", metav1.GetOptions{})
		return err == nil && w.GetDeletionTimestamp() != nil
	})
	if _, err := shared.kube.CoreV1().ConfigMaps(name).Create(t.Context(), configMap("late", nil), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a write into a namespace that is going: %v", err)
	}
	if _, err := shared.dynamic.Resource(widgets).Namespace(name).Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the namespace goes", func() bool {
		_, err := namespaces.Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestNamespacesOfTheServiceStay(t *testing.T) {
	for _, name := range []string{"default", ownedName} {
		err := shared.kube.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{})
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "belongs to the service") {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := shared.kube.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil || n.DeletionTimestamp != nil {
			t.Errorf("%s: %v, %v", name, n, err)
		}
	}
}
