//go:build !linux

package gctuning

// dropText does nothing: these systems don't count shared code as the program's memory.
func dropText() {}
