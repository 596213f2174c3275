package dockerconfig

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/Microsoft/go-winio"
)

// dockerHost is the address of docker's own context, default.
const dockerHost = "npipe:////./pipe/docker_engine"

// pipeMissing reports whether there is no such named pipe.
func pipeMissing(ctx context.Context, path string) bool {
	conn, err := winio.DialPipeContext(ctx, strings.ReplaceAll(path, "/", `\`))
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, fs.ErrNotExist)
}
