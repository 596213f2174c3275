//go:build bindings || (((desktop && production) || dev) && !linux)

package window

import (
	"context"
	"image"

	"github.com/wailsapp/wails/v2/pkg/runtime"
)

// screens returns nothing: Wails knows the sizes of screens, but not their positions.
func screens() []image.Rectangle { return nil }

func move(wails context.Context, to image.Rectangle) {
	runtime.WindowSetPosition(wails, to.Min.X, to.Min.Y)
}
