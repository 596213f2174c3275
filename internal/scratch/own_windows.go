package scratch

import "os"

// own reports whether path is a folder. Each user has a directory of their own for temporary files.
func own(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
