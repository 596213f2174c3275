package hostagent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
)

// guestProgram is rdd-guest for one kind of guest.
type guestProgram struct {
	share string // folder with the program
	y     *limayaml.LimaYAML
	exec  func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error // in the guest
}

// uploadTimeout bounds the upload, of 2 MB.
const uploadTimeout = 2 * time.Minute

// upload puts stdin into a new folder of the guest that only its user can read, and prints the folder. In some guests no
// program can run from /tmp. The program itself removes both when it is started to work.
const upload = `umask 077
for at in /tmp "$HOME" /var/tmp; do
	new=$(mktemp -d "$at/rdd-guest.XXXXXX") || continue
	if [ -z "$dir" ]; then
		cat >"$new/rdd-guest"
	else
		cp "$dir/rdd-guest" "$new/" && rm -r "$dir"
	fi
	dir=$new
	chmod 700 "$dir/rdd-guest" && "$dir/rdd-guest" >/dev/null && echo "$dir" && exit
done
[ -z "$dir" ] || rm -r "$dir"
exit 1`

// run uploads the program and runs it with in and out, until it or ctx ends.
func (p *guestProgram) run(ctx context.Context, in io.Reader, out io.Writer) error {
	dir, err := p.upload(ctx)
	if err != nil {
		return fmt.Errorf("put rdd-guest into the guest: %w", err)
	}
	var said bytes.Buffer
	if err := p.exec(ctx, lima.ShellQuote(dir+"/rdd-guest", "udp"), in, out, &said); err != nil {
		return fmt.Errorf("run rdd-guest in the guest: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

func (p *guestProgram) upload(ctx context.Context) (dir string, err error) {
	path := filepath.Join(p.share, "rdd", "rdd-guest."+*p.y.OS+"-"+*p.y.Arch)
	file, err := os.Open(path)
	if err != nil {
		return "", diag.Errorf(diag.InstallBroken, "rdd-guest for %s is missing: %w: install RDD again", *p.y.Arch, err)
	}
	defer file.Close()
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	var where, said bytes.Buffer
	if err := p.exec(ctx, lima.ShellQuote("sh", "-c", upload), file, &where, &said); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(where.String()), nil
}
