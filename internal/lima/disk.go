package lima

import (
	"fmt"

	"github.com/lima-vm/lima/pkg/imgutil/proxyimgutil"
)

// growDisk makes the disk as large as the configuration says. A VM without a disk has none to grow.
func growDisk(path string, want int64) error {
	have, ok := virtualSize(path)
	want = diskSize(want)
	switch {
	case !ok || want == 0 || have == want:
		return nil
	case have > want:
		return &PermanentError{"disk", fmt.Errorf("the VM's disk has %s and can't shrink: set disk to at least that", sizeText(have))}
	}
	return proxyimgutil.NewDiskUtil().ResizeDisk(path, want)
}
