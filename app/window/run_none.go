//go:build !((desktop && production) || dev || bindings)

package window

import (
	"context"

	"rancherdesktop.io/rdd/core"
)

// show says that there is no window in this build.
func show(context.Context, Options, *core.Single) error { return ErrNotBuilt }
