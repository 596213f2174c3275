//go:build !windows

package atomicfile

// patiently has nothing to wait for: readers keep the file that they opened.
func patiently(try func() error) error { return try() }
