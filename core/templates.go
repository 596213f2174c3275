package core

import (
	"bufio"
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// TemplateSource says where a template comes from.
type TemplateSource string

// The sources of templates.
const (
	TemplateShipped TemplateSource = "shipped" // with RDD
	TemplateStored  TemplateSource = "stored"  // in a ConfigMap of the control plane
)

// TemplateInfo is a template that a VM can be made from.
type TemplateInfo struct {
	Name        string         `json:"name"`
	Locator     string         `json:"locator"` // what Create and ReadTemplate take
	Description string         `json:"description"`
	Source      TemplateSource `json:"source"`
}

// Templates lists the templates that ship with RDD, RDD's own guest first, and those stored in the control
// plane while that can be asked.
func (c *Core) Templates(ctx context.Context) []TemplateInfo {
	var all []TemplateInfo
	for _, path := range templateFiles(filepath.Join(c.inst.ShareDir(), "rdd", "guest")) {
		all = append(all, describeTemplate(path, path))
	}
	for _, path := range templateFiles(filepath.Join(c.inst.ShareDir(), "lima", "templates")) {
		all = append(all, describeTemplate(path, "template://"+strings.TrimSuffix(filepath.Base(path), ".yaml")))
	}
	session, err := c.Connect(ctx)
	if err != nil {
		return all
	}
	return append(all, session.storedTemplates(ctx)...)
}

// templateFiles are the templates in a folder, which need not be there.
func templateFiles(dir string) (paths []string) {
	names, _ := fs.Glob(os.DirFS(dir), "*.yaml") // filepath.Glob would take a [ in dir for a pattern
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

// describeTemplate reads the words with which a template file begins.
func describeTemplate(path, locator string) TemplateInfo {
	t := TemplateInfo{Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), Locator: locator, Source: TemplateShipped}
	t.Description = strings.ReplaceAll(t.Name, "-", " ")
	if r := []rune(t.Description); len(r) > 0 {
		t.Description = string(unicode.ToUpper(r[0])) + string(r[1:])
	}
	file, err := os.Open(path)
	if err != nil {
		return t
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if lines.Scan() {
		words, comment := strings.CutPrefix(lines.Text(), "# ")
		if comment && strings.IndexFunc(words, unicode.IsLetter) == 0 {
			t.Description = words
		}
	}
	return t
}

func (s *Session) templateMaps(namespace string) dynamic.ResourceInterface {
	return s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
}

// storedTemplates lists the ConfigMaps that hold a template.
func (s *Session) storedTemplates(ctx context.Context) []TemplateInfo {
	list, err := s.templateMaps(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var all []TemplateInfo
	for i := range list.Items {
		cm := &list.Items[i]
		if _, has, _ := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey); has {
			all = append(all, TemplateInfo{Name: cm.GetName(), Locator: cm.GetName(), Description: "ConfigMap " + cm.GetName(), Source: TemplateStored})
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
		return nil, failed("list namespaces", "", err)
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
	return text, failed("read template", locator, err)
}
