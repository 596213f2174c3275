//go:build !unix

package main

import "os"

// peakBytes returns 0: this system does not report it.
func peakBytes(*os.ProcessState) int64 { return 0 }
