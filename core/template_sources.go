package core

import (
	"cmp"
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// Templates lists the templates that ship with RDD, RDD's own guest first, and those stored in the control
// plane while that can be asked.
func (c *Core) Templates(ctx context.Context) []template.Template {
	all := template.Shipped(c.inst.ShareDir())
	session, err := c.Connect(ctx)
	if err != nil {
		return all
	}
	return append(all, session.storedTemplates(ctx)...)
}

func (s *Session) templateMaps(namespace string) dynamic.ResourceInterface {
	return s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
}

// storedTemplates lists the ConfigMaps that hold a template.
func (s *Session) storedTemplates(ctx context.Context) []template.Template {
	list, err := s.templateMaps(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var all []template.Template
	for i := range list.Items {
		cm := &list.Items[i]
		if _, has, _ := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey); has {
			all = append(all, template.Template{Name: cm.GetName(), Locator: cm.GetName(), Description: "ConfigMap " + cm.GetName(), Source: template.SourceStored})
		}
	}
	return all
}

// storedText is the template in a ConfigMap; without a namespace that is in the default one.
func (s *Session) storedText(ctx context.Context, namespace, name string) (string, error) {
	ref := v1alpha1.TemplateRef{Name: name, Namespace: cmp.Or(namespace, metav1.NamespaceDefault)}
	cm, err := s.templateMaps(ref.Namespace).Get(ctx, name, metav1.GetOptions{})
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

// Namespaces lists the control plane's namespaces, by name.
func (v *VMs) Namespaces(ctx context.Context) (names []string, err error) {
	list, err := v.session.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, Failed("list namespaces", "", err)
	}
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	return names, nil
}

// TemplateText returns the whole text of a template that Templates names, or that a user does.
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
