// Package logs writes and reads log files that are rotated. The service and the hostagents write them; the core reads them for
// its clients.
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

// Rotating returns a log file with mode 0600 that is rotated at 10 MiB. 3 old files are kept.
func Rotating(path string) io.WriteCloser {
	return &lumberjack.Logger{Filename: path, MaxSize: 10, MaxBackups: 3}
}

// Copy writes the file at path to w. With follow it goes on with the lines that are added, also after a rotation, until ctx ends.
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
	// Without Poll, lines that are written before the watch begins are shown only when the next line is written.
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
