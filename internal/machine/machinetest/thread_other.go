//go:build !linux

package machinetest

// endFirstThread does nothing: on these systems no test uses it.
func endFirstThread() {}
