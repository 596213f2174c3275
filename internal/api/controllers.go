package api

import (
	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// Controllers returns the names of the service's controllers, in the order in which they start. It is for clients,
// which don't link the controllers themselves; internal/server has one for each name.
func Controllers() []string { return []string{lima.Controller, app.Controller} }
