package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lima-vm/go-qcow2reader"
	"github.com/lima-vm/lima/pkg/localpathutil"
)

// VirtualSize returns the size of the disk in an image file. ok is false if the file doesn't show it, because it is
// missing or compressed.
func VirtualSize(path string) (size int64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	image, err := qcow2reader.Open(f)
	if err != nil {
		return 0, false
	}
	defer image.Close()
	size = image.Size()
	return size, size > 0
}

// LocalPath is the path of a local image: absolute, or below the home directory.
func LocalPath(location string) (string, error) {
	if path, ok := strings.CutPrefix(location, "file://"); ok {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%q must be an absolute path", location)
		}
		return path, nil
	}
	return localpathutil.Expand(location)
}
