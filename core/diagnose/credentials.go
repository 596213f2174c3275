package diagnose

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkCredentials reports files and folders with credentials that other users can access.
func checkCredentials(_ context.Context, i *inspection) []Finding {
	if runtime.GOOS == "windows" {
		return nil // permissions are inherited from the user's profile
	}
	var all []Finding
	for path, mode := range openCredentials(i.inst) {
		all = append(all, problem(SeverityProblem, diag.CredentialsOpen, "%s has mode %04o, so other users can access it", path, mode))
	}
	return orOK(all, "only you can read the files with credentials")
}

// closeCredentials makes them private.
func closeCredentials(ctx context.Context, c *core.Core, _ core.Wait) error {
	var all error
	for path, mode := range openCredentials(c.Instance()) {
		all = errors.Join(all, os.Chmod(path, mode&0o700))
	}
	return core.Failed("make the files private of instance", c.Instance().Name, errors.Join(all, context.Cause(ctx)))
}

// openCredentials lists the files and folders with credentials that other users can access, and their permissions.
func openCredentials(inst instance.Instance) iter.Seq2[string, os.FileMode] {
	paths := []string{
		inst.KubeConfig(), inst.ConfigFile(), inst.RecordFile(), layout.UserKey(inst.LimaHome()),
		filepath.Join(inst.ControlPlaneDir(), instance.TokenFile), filepath.Join(inst.ControlPlaneDir(), instance.KeyFile),
		inst.DataDir(), inst.ShortDir(), inst.LogDir(),
	}
	// The data directory has earlier versions of a damaged config.json.
	for _, in := range []struct{ dir, prefix string }{{inst.StoreDir(), ""}, {inst.DataDir(), filepath.Base(inst.ConfigFile()) + "."}} {
		entries, _ := os.ReadDir(in.dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), in.prefix) {
				paths = append(paths, filepath.Join(in.dir, e.Name()))
			}
		}
	}
	return func(yield func(string, os.FileMode) bool) {
		for _, path := range paths {
			info, err := os.Lstat(path)
			open := err == nil && info.Mode()&os.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0
			if open && !yield(path, info.Mode().Perm()) {
				return
			}
		}
	}
}
