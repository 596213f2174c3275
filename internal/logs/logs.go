// Package logs writes log files that rotate and reads them back. The service and the hostagents
// write; the core reads for its clients.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nxadm/tail"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Rotating returns a log file that is rotated at 10 MiB; 3 old files are kept. It makes files
// with mode 0600.
func Rotating(path string) io.WriteCloser {
	return &lumberjack.Logger{Filename: path, MaxSize: 10, MaxBackups: 3}
}

// Copy writes the file at path to w. With follow it goes on with what is added, across rotations,
// until ctx ends.
func Copy(ctx context.Context, w io.Writer, path string, follow bool) error {
	if !follow {
		f, err := os.Open(path)
		if err != nil {
			return missing(path, err)
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
	// Without polling, what is written between the first look and the begin of the watch is seen only with what comes after it.
	t, err := tail.TailFile(path, tail.Config{Follow: true, ReOpen: true, Poll: true, Logger: tail.DiscardingLogger, CompleteLines: true})
	if err != nil {
		return missing(path, err)
	}
	defer t.Cleanup()
	defer func() { _ = t.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case line, ok := <-t.Lines:
			if !ok {
				return t.Err()
			}
			if _, err := fmt.Fprintln(w, line.Text); err != nil {
				return err
			}
		}
	}
}

func missing(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no log yet at %s", path)
	}
	return err
}
