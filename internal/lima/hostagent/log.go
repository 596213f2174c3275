package hostagent

import (
	"errors"
	"io/fs"
	"os"
)

// maxLogSize is how large a log may be when a run begins.
const maxLogSize = 5 << 20

// openLog opens a log to append to. A large log is renamed to path.1 first.
func openLog(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxLogSize {
		err = os.Rename(path, path+".1")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
