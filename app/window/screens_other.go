//go:build bindings || (((desktop && production) || dev) && !linux)

package window

import (
	"context"
	"image"

	"github.com/wailsapp/wails/v2/pkg/runtime"
)

// screens are not known: Wails says how large they are, but not where.
func screens() []image.Rectangle { return nil }

func move(wails context.Context, to image.Rectangle) {
	runtime.WindowSetPosition(wails, to.Min.X, to.Min.Y)
}
