package instance

import "fmt"

// The known problems that an instance can have; package diag says what they mean.
const (
	homeUnusable      = "home-unusable"
	socketPathTooLong = "socket-path-too-long"
	installBroken     = "install-broken"
	filesPermission   = "files-permission"
)

// problemError is an error that is a known problem. Its text says what to do.
type problemError struct {
	id  string
	err error
}

func problemf(id, format string, a ...any) error { return &problemError{id, fmt.Errorf(format, a...)} }

func (e *problemError) Error() string     { return e.err.Error() }
func (e *problemError) Unwrap() error     { return e.err }
func (e *problemError) ProblemID() string { return e.id }
