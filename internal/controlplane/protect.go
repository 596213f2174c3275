package controlplane

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clientset "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"rancherdesktop.io/rdd/internal/admission"
)

// protectNamespaces refuses to delete the service's own namespaces, and to give them an owner: the
// garbage collector deletes what has lost its owner.
func protectNamespaces(names []string) admission.Admission {
	return admission.Admission{
		Resources: []schema.GroupResource{corev1.Resource("namespaces")},
		Admit: func(_ context.Context, r admission.Review) error {
			if !slices.Contains(names, r.Name) {
				return nil
			}
			if r.Operation == admission.Delete {
				return fmt.Errorf("namespace %q belongs to the service and can't be deleted; delete what is in it instead", r.Name)
			}
			if r.Operation == admission.Update && changed(r, "metadata", "ownerReferences") {
				return fmt.Errorf("namespace %q belongs to the service, so its metadata.ownerReferences can't be changed", r.Name)
			}
			return nil
		},
	}
}

// protectDefinitions refuses to delete or change the service's own definitions: with a definition, every
// object of its kind is deleted. Labels and annotations can be changed.
func protectDefinitions(definitions []*apiextensionsv1.CustomResourceDefinition) admission.Admission {
	return admission.Admission{
		Resources: []schema.GroupResource{apiextensionsv1.Resource("customresourcedefinitions")},
		Admit: func(_ context.Context, r admission.Review) error {
			own := slices.IndexFunc(definitions, func(d *apiextensionsv1.CustomResourceDefinition) bool { return d.Name == r.Name })
			if own < 0 {
				return nil
			}
			if r.Operation == admission.Delete {
				return fmt.Errorf("the definition of %[1]s belongs to the service and can't be deleted: every object of this kind would go with it; delete objects by their names instead: rdd ctl delete %[1]s NAME",
					definitions[own].Spec.Names.Plural)
			}
			if r.Operation != admission.Update || r.ByService() {
				return nil
			}
			for _, field := range [][]string{{"spec"}, {"status"}, {"metadata", "finalizers"}, {"metadata", "ownerReferences"}} {
				if changed(r, field...) {
					return fmt.Errorf("the definition of %s belongs to the service, so its %s can't be changed", definitions[own].Spec.Names.Plural, strings.Join(field, "."))
				}
			}
			return nil
		},
	}
}

// changed says whether an update changes a field.
func changed(r admission.Review, field ...string) bool {
	was, _, _ := unstructured.NestedFieldNoCopy(r.Old.Object, field...)
	is, _, _ := unstructured.NestedFieldNoCopy(r.Object.Object, field...)
	return !equality.Semantic.DeepEqual(was, is)
}

// restoreRetryInterval is the first time between retries to make a definition again, and
// restoreMaxRetryInterval the longest.
const (
	restoreRetryInterval    = 50 * time.Millisecond
	restoreMaxRetryInterval = 10 * time.Second
)

// restoreDefinitions makes a definition of the service again as soon as it is gone, until ctx ends. The
// rules prevent that here, but another program may change the store. A definition that was changed there
// is left as it is: another host's service may have another version.
func (s *Server) restoreDefinitions(ctx context.Context, running *sync.WaitGroup) error {
	client, err := clientset.NewForConfig(s.loopback.native())
	if err != nil {
		return err
	}
	gone := workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](restoreRetryInterval, restoreMaxRetryInterval))
	informer := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			gone.Add(name)
		}
	}})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, gone.ShutDown)
	running.Go(func() {
		for {
			name, ended := gone.Get()
			if ended {
				return
			}
			if err := s.restoreDefinition(ctx, client, name); err != nil && ctx.Err() == nil {
				utilruntime.HandleErrorWithContext(ctx, err, "A definition can't be made again, will be tried again", "definition", name)
				gone.AddRateLimited(name)
			} else {
				gone.Forget(name)
			}
			gone.Done(name)
		}
	})
	return nil
}

func (s *Server) restoreDefinition(ctx context.Context, client clientset.Interface, name string) error {
	for _, wanted := range s.config.CRDs {
		if wanted.Name == name {
			limited, cancel := context.WithTimeout(ctx, startTimeout)
			defer cancel()
			return s.applyDefinition(limited, client, wanted)
		}
	}
	return nil
}
