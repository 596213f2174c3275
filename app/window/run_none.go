//go:build !(desktop && production)

package window

import "context"

// Run says that there is no window in this build.
func Run(context.Context, Options) error { return ErrNotBuilt }
