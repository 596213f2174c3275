//go:build !linux && !darwin

package image

import "errors"

// reflink is not possible on these systems.
func reflink(string, string) error { return errors.ErrUnsupported }
