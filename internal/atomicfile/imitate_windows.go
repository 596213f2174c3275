package atomicfile

import (
	"io/fs"
	"os"
)

// imitate does nothing: a file gets its owner and its rights from its folder.
func imitate(*os.File, fs.FileInfo) error { return nil }
