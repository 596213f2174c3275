package host

import "os"

// Allocated returns the size of a file: Windows doesn't say more with it.
func Allocated(info os.FileInfo) int64 { return info.Size() }
