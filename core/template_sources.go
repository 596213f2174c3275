package core

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// Templates lists the templates that ship with RDD, RDD's own guest first, and those in the control plane if the service is
// running.
func (c *Core) Templates(ctx context.Context) []template.Template {
	all := template.Shipped(c.inst.ShareDir())
	session, err := c.Connect(ctx)
	if err != nil {
		return all
	}
	stored, _ := session.templatesIn(ctx, metav1.NamespaceDefault) // with an error, none
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		all = append(all, template.Template{Name: name, Locator: name, Description: "ConfigMap " + name, Source: template.SourceStored})
	}
	return all
}

func (s *Session) configMaps(namespace string) dynamic.ResourceInterface {
	return s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
}

// templatesIn returns the templates in the ConfigMaps of a namespace, by the name of the ConfigMap. With an error, the map is
// empty.
func (s *Session) templatesIn(ctx context.Context, namespace string) (map[string]string, error) {
	texts := map[string]string{}
	list, err := s.configMaps(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return texts, err
	}
	for i := range list.Items {
		if text, has, _ := unstructured.NestedString(list.Items[i].Object, "data", v1alpha1.TemplateKey); has {
			texts[list.Items[i].GetName()] = text
		}
	}
	return texts, nil
}

// storedText returns the template in a user's ConfigMap. An empty namespace stands for the default one.
func (s *Session) storedText(ctx context.Context, namespace, name string) (string, error) {
	ref := v1alpha1.TemplateRef{Name: name, Namespace: cmp.Or(namespace, metav1.NamespaceDefault)}
	cm, err := s.configMaps(ref.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		cm, err = &unstructured.Unstructured{}, nil
	}
	if err != nil {
		return "", err
	}
	data, _, err := unstructured.NestedStringMap(cm.Object, "data")
	if err != nil {
		return "", err
	}
	binary, _, err := unstructured.NestedStringMap(cm.Object, "binaryData")
	if err != nil {
		return "", err
	}
	text, err := v1alpha1.TemplateIn(ref, cm.Object != nil, data, binary)
	if err != nil {
		err = &Error{Kind: NotFound, Err: err}
	}
	return text, err
}

// TemplateText returns the text of a template. locator is a file, a URL, or the name of a ConfigMap.
func (c *Core) TemplateText(ctx context.Context, locator string) (string, error) {
	if strings.ContainsAny(locator, "/:") {
		return c.ReadTemplate(ctx, locator)
	}
	session, err := c.Connect(ctx)
	if err != nil {
		return "", err
	}
	text, err := session.storedText(ctx, "", locator)
	return text, Failed("read template", locator, err)
}
