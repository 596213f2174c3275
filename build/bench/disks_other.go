//go:build !unix

package main

import "errors"

// ownBytes is not measured on these systems.
func ownBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
