package host

import (
	"fmt"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

func diskOf(path string) (d Disk, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return d, err
	}
	if err := windows.GetDiskFreeSpaceEx(name, &d.Free, &d.Total, nil); err != nil {
		return d, fmt.Errorf("free space of %s: %w", path, err)
	}
	d.Name = filepath.VolumeName(path)
	return d, nil
}

// memoryStatus is MEMORYSTATUSEX of sysinfoapi.h.
type memoryStatus struct {
	length, load                                                          uint32
	totalPhys, availPhys, totalPage, availPage, totalVirt, availVirt, ext uint64
}

// MemoryOf returns this computer's memory.
func MemoryOf() (Memory, error) {
	s := memoryStatus{}
	s.length = uint32(unsafe.Sizeof(s))
	ok, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&s)))
	if ok == 0 {
		return Memory{}, err
	}
	return Memory{Total: s.totalPhys, Available: s.availPhys}, nil
}

// Virtual says whether this computer is known to be a virtual machine itself; Windows doesn't tell.
func Virtual() bool { return false }
