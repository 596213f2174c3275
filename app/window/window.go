package window

import (
	"errors"
	"io/fs"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/core"
)

// Options is what a window needs.
type Options struct {
	API     *page.API
	Core    *core.Core // whose settings say where the window was
	Single  *core.Single
	Files   fs.FS // the page's
	Request Request
}

// ErrNotBuilt means that this program was compiled without Wails.
var ErrNotBuilt = errors.New("this program was built without its window: install libgtk-3-dev, libwebkit2gtk-4.1-dev, pkg-config and gcc, then run `make build`; or use: rdd dashboard")
