package core

import (
	"bufio"
	"context"
	"errors"
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
	own, _ := filepath.Glob(filepath.Join(c.inst.ShareDir(), "rdd", "guest", "*.yaml"))
	for _, path := range own {
		all = append(all, describeTemplate(path, path))
	}
	limas, _ := filepath.Glob(filepath.Join(c.inst.ShareDir(), "lima", "templates", "*.yaml"))
	for _, path := range limas {
		all = append(all, describeTemplate(path, "template://"+strings.TrimSuffix(filepath.Base(path), ".yaml")))
	}
	session, err := c.Connect(ctx)
	if err != nil {
		return all
	}
	return append(all, session.storedTemplates(ctx)...)
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

func (s *Session) templateMaps() dynamic.ResourceInterface {
	return s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(metav1.NamespaceDefault)
}

// storedTemplates lists the ConfigMaps that hold a template.
func (s *Session) storedTemplates(ctx context.Context) []TemplateInfo {
	list, err := s.templateMaps().List(ctx, metav1.ListOptions{})
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

// storedText is the template in a ConfigMap.
func (s *Session) storedText(ctx context.Context, name string) (string, error) {
	cm, err := s.templateMaps().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", &Error{Kind: NotFound, Err: errors.New("there is no ConfigMap with a template of that name")}
	}
	if err != nil {
		return "", err
	}
	text, _, err := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey)
	return text, err
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
	text, err := session.storedText(ctx, locator)
	return text, failed("read template", locator, err)
}
