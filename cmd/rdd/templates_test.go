package main

import (
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/instance"
)

// Every template that ships with RDD can be read without a network, and so can those it is based on.
func TestEveryShippedTemplateCanBeRead(t *testing.T) {
	t.Parallel()
	libexec := filepath.Join(dist(t), "libexec", "rdd")
	need(t, filepath.Join(libexec, "rdd-lima"), "make build")
	need(t, filepath.Join(dist(t), "share", "lima", "templates"), "make build")
	c := core.New(instance.At(t.TempDir(), "default", libexec), version)
	all := c.Templates(t.Context())
	if len(all) < 30 {
		t.Errorf("only %d templates", len(all))
	}
	for _, shipped := range all {
		text, err := c.TemplateText(t.Context(), shipped.Locator)
		if err == nil {
			_, err = template.ResourcesOf(text)
		}
		if err != nil || strings.Trim(shipped.Description, "=#$ ") != shipped.Description || shipped.Description == "" {
			t.Errorf("%+v: %v", shipped, err)
		}
	}
}
