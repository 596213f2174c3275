//go:build !windows

package atomicfile

// retryWhileBusy calls try once. On these systems a file can be replaced while it is read.
func retryWhileBusy(try func() error) error { return try() }
