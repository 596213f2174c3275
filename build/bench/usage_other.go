//go:build !linux

package main

import (
	"errors"
	"runtime"
	"time"
)

// memory is what a process has resident, in bytes.
type memory struct{ RSS, Anonymous int64 }

// activity is what a process has done since it began.
type activity struct {
	At      time.Time
	CPU     time.Duration
	Wakeups int64
}

var errLinuxOnly = errors.New("a process's memory, CPU time and wake-ups can be measured on Linux only")

func readMemory(int) (memory, error)     { return memory{}, errLinuxOnly }
func readActivity(int) (activity, error) { return activity{}, errLinuxOnly }

func loadAverage() float64   { return 0 }
func processor() string      { return runtime.GOARCH }
func kernel() string         { return runtime.GOOS }
func installedMemory() int64 { return 0 }
