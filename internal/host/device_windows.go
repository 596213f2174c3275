package host

import (
	"os"
	"path/filepath"
)

// device returns the volume of path.
func device(path string, _ os.FileInfo) string { return filepath.VolumeName(path) }
