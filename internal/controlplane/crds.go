package controlplane

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clientset "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
)

const (
	// discoveryPollInterval is how often discovery is asked for a kind that was just established.
	discoveryPollInterval = 2 * time.Millisecond
	// newKindCreateDelay is how long the server delays creates of a new kind.
	newKindCreateDelay = 2 * time.Second
)

// applyDefinitions brings the configured definitions into the store and returns when
// all of them are served and can be discovered.
func (s *Server) applyDefinitions(ctx context.Context) error {
	if len(s.config.CRDs) == 0 {
		return nil
	}
	client, err := clientset.NewForConfig(s.loopback.native())
	if err != nil {
		return err
	}
	if err := s.resumeDefinitions(ctx, client); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, wanted := range s.config.CRDs {
		all.Go(func() error {
			if err := s.applyDefinition(ctx, client, wanted); err != nil {
				return fmt.Errorf("custom resource definition %s: %w", wanted.Name, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// resumeDefinitions has the server establish the definitions that an earlier run had accepted when it
// was killed. The server does that only when it sees such a definition change, not when it finds one
// (updateCustomResourceDefinition in apiextensions-apiserver), so this changes a time in it.
func (s *Server) resumeDefinitions(ctx context.Context, client clientset.Interface) error {
	known, err := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister().List(labels.Everything())
	if err != nil {
		return err
	}
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	for _, d := range known {
		if !apihelpers.IsCRDConditionTrue(d, apiextensionsv1.NamesAccepted) || apihelpers.IsCRDConditionTrue(d, apiextensionsv1.Established) {
			continue
		}
		d = d.DeepCopy()
		c := apihelpers.FindCRDCondition(d, apiextensionsv1.NamesAccepted)
		c.LastTransitionTime = metav1.NewTime(c.LastTransitionTime.Add(-time.Second))
		_, err := definitions.UpdateStatus(ctx, d, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) { // it has changed already
			return fmt.Errorf("custom resource definition %s: %w", d.Name, err)
		}
	}
	return nil
}

func (s *Server) applyDefinition(ctx context.Context, client clientset.Interface, wanted *apiextensionsv1.CustomResourceDefinition) error {
	changed := s.watchDefinition(ctx, wanted.Name)
	if err := s.writeDefinition(ctx, client, wanted); err != nil {
		return err
	}
	for aged := false; ; {
		served, young, err := s.established(wanted)
		switch {
		case err != nil:
			return err
		case served && young && !aged && !s.config.Store.External():
			if err := ageDefinition(ctx, client, wanted.Name); err != nil {
				return err
			}
			aged = true
		case served && (!young || !aged):
			return s.awaitDiscovery(ctx, wanted)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ageDefinition makes an established definition look older. The server keeps the first
// create of a new kind waiting for two seconds, for other servers to learn of the kind;
// on a store of our own there are none.
func ageDefinition(ctx context.Context, client clientset.Interface, name string) error {
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		d, err := definitions.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := apihelpers.FindCRDCondition(d, apiextensionsv1.Established); c != nil {
			c.LastTransitionTime = metav1.NewTime(time.Now().Add(-2 * newKindCreateDelay))
		}
		_, err = definitions.UpdateStatus(ctx, d, metav1.UpdateOptions{})
		return err
	})
}

// writeDefinition makes the definition, or updates it when it isn't as wanted.
func (s *Server) writeDefinition(ctx context.Context, client clientset.Interface, wanted *apiextensionsv1.CustomResourceDefinition) error {
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	known, err := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister().Get(wanted.Name)
	if apierrors.IsNotFound(err) {
		_, err = definitions.Create(ctx, wanted, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
	} else if err != nil || asWanted(known, wanted) {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		stored, err := definitions.Get(ctx, wanted.Name, metav1.GetOptions{})
		if err != nil || asWanted(stored, wanted) {
			return err
		}
		stored.Spec = *wanted.Spec.DeepCopy()
		for key, value := range wanted.Annotations {
			metav1.SetMetaDataAnnotation(&stored.ObjectMeta, key, value)
		}
		_, err = definitions.Update(ctx, stored, metav1.UpdateOptions{})
		return err
	})
}

// asWanted compares with the defaults filled in, as the server stores it.
func asWanted(stored, wanted *apiextensionsv1.CustomResourceDefinition) bool {
	complete := wanted.DeepCopy()
	apiextensionsv1.SetDefaults_CustomResourceDefinition(complete)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&complete.Spec)
	for key, value := range wanted.Annotations {
		if stored.Annotations[key] != value {
			return false
		}
	}
	return equality.Semantic.DeepEqual(stored.Spec, complete.Spec)
}

// established says whether the server serves the definition as wanted, and whether it is
// so new that creates wait. It reads the informer that the server itself uses.
func (s *Server) established(wanted *apiextensionsv1.CustomResourceDefinition) (served, young bool, err error) {
	seen, err := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister().Get(wanted.Name)
	if err != nil {
		return false, false, nil //nolint:nilerr // not seen yet
	}
	for _, c := range seen.Status.Conditions {
		switch {
		case c.Type == apiextensionsv1.NamesAccepted && c.Status == apiextensionsv1.ConditionFalse,
			c.Type == apiextensionsv1.NonStructuralSchema && c.Status == apiextensionsv1.ConditionTrue:
			return false, false, fmt.Errorf("%s: %s", c.Reason, c.Message)
		case c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue:
			return asWanted(seen, wanted), time.Since(c.LastTransitionTime.Time) < newKindCreateDelay, nil
		}
	}
	return false, false, nil
}

// watchDefinition returns a channel that gets a value when the informer has seen changes to
// name since the last one.
func (s *Server) watchDefinition(ctx context.Context, name string) <-chan struct{} {
	changed := make(chan struct{}, 1)
	notice := func(obj any) {
		if d, ok := obj.(*apiextensionsv1.CustomResourceDefinition); ok && d.Name == name {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
	informer := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer()
	handle, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    notice,
		UpdateFunc: func(_, now any) { notice(now) },
	})
	if err == nil {
		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(handle) }) // fails only when already stopped
	}
	return changed
}

// awaitDiscovery waits until clients can find the kind.
func (s *Server) awaitDiscovery(ctx context.Context, wanted *apiextensionsv1.CustomResourceDefinition) error {
	for _, v := range wanted.Spec.Versions {
		if !v.Served {
			continue
		}
		err := wait.PollUntilContextCancel(ctx, discoveryPollInterval, true, func(ctx context.Context) (bool, error) {
			return s.discovers(ctx, wanted, v.Name), nil
		})
		if err != nil {
			return fmt.Errorf("version %s never appeared in discovery: %w", v.Name, context.Cause(ctx))
		}
	}
	return nil
}

// discovers asks once. A client that retries would wait for 5 s when the server isn't
// complete.
func (s *Server) discovers(ctx context.Context, wanted *apiextensionsv1.CustomResourceDefinition, version string) bool {
	var found metav1.APIResourceList
	request := s.client.Discovery().RESTClient().Get().AbsPath("/apis", wanted.Spec.Group, version).MaxRetries(0)
	if err := request.Do(ctx).Into(&found); err != nil {
		return false
	}
	return slices.ContainsFunc(found.APIResources, func(r metav1.APIResource) bool { return r.Name == wanted.Spec.Names.Plural })
}
