package scratch

import "os"

// own says whether path is a folder: each user has a place of their own for temporary ones.
func own(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
