package api

import "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"

// Controllers names the service's controllers, in the order in which they start. Clients read it, which don't
// link the controllers; internal/server has one for each name.
func Controllers() []string { return []string{v1alpha1.Controller} }
