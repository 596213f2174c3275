// Package template reads and edits the text of Lima templates: their params, their resources, and the changes that a
// running VM has not taken up yet. It also lists the templates that ship with RDD. core and the clients use it.
package template

import "rancherdesktop.io/rdd/internal/templatetext"

// Resources are the resources of this computer that a VM gets.
type Resources = templatetext.Resources

// ResourcesOf reads the resources in a template.
func ResourcesOf(text string) (Resources, error) { return templatetext.ResourcesOf(text) }

// WithResources returns the template with other resources. It edits only the values that differ, and keeps comments and
// everything else.
func WithResources(text string, r Resources) (string, error) {
	return templatetext.WithResources(text, r)
}
