package server

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesOnStderrAreLoggedAtALowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		read, write := io.Pipe()
		go logLines(read, slog.New(slog.NewTextHandler(&out, nil)))
		for range 1000 {
			_, _ = io.WriteString(write, "http2: server: error reading preface\n")
		}
		time.Sleep(time.Minute)
		_, _ = io.WriteString(write, "the last line\n")
		_ = write.Close()
		synctest.Wait()
		if n := strings.Count(out.String(), "level=WARN"); n != stderrBurst+1 || !strings.Contains(out.String(), `msg="the last line" dropped=990`) {
			t.Errorf("%d lines: %s", n, &out)
		}
	})
}
