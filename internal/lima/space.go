package lima

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/docker/go-units"
)

// spareSpace is what a disk that is not full has free at least.
const spareSpace = 1 << 20

// checkSpace refuses to begin writing need bytes below dir that don't fit: a disk is not filled to
// the last byte, again and again, for a file that can't become whole.
func checkSpace(dir string, need int64) error {
	free, err := freeSpace(dir)
	if err != nil || free >= need {
		return nil // who can't tell, tries
	}
	return fullDisk(dir, fmt.Sprintf("%s are needed, %s are free", units.BytesSize(float64(need)), units.BytesSize(float64(free))))
}

// explainSpace says of an error that a full disk has caused what to do. Programs such as qemu-img
// give their reason in words only; that one of dirs is full by now says it as well.
func explainSpace(err error, dirs ...string) error {
	if err == nil {
		return nil
	}
	for _, dir := range dirs {
		if free, e := freeSpace(dir); e == nil && free < spareSpace {
			return fmt.Errorf("%w: %w", fullDisk(dir, "it has "+units.BytesSize(float64(free))+" left"), err)
		}
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w; free some space, then it goes on by itself", err)
	}
	return err
}

func fullDisk(dir, how string) error {
	return fmt.Errorf("the disk of this computer that holds %s is full (%s): free some space, then it goes on by itself", dir, how)
}
