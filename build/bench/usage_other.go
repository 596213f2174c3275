//go:build !linux

package main

import "errors"

var errLinuxOnly = errors.New("a process's memory, CPU time and wake-ups can be measured on Linux only")

func readMemory(int) (memory, error)     { return memory{}, errLinuxOnly }
func readActivity(int) (activity, error) { return activity{}, errLinuxOnly }
