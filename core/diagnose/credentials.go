package diagnose

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkCredentials reports files with credentials that other users can read.
func checkCredentials(_ context.Context, i *inspection) []Finding {
	if runtime.GOOS == "windows" {
		return nil // rights are inherited from the profile
	}
	var all []Finding
	for _, path := range append(i.credentials(), i.inst.DataDir(), i.inst.ShortDir(), i.inst.LogDir()) {
		info, err := os.Lstat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			all = append(all, problem(SeverityProblem, diag.CredentialsOpen, "%s has mode %04o; it must not be open to others", path, info.Mode().Perm()))
		}
	}
	if len(all) == 0 {
		return []Finding{ok("only you can read the files with credentials")}
	}
	return all
}

// credentials are the files that hold a secret, if they are there.
func (i *inspection) credentials() []string {
	paths := []string{
		i.inst.KubeConfig(), i.inst.ConfigFile(), i.inst.RecordFile(),
		filepath.Join(i.inst.ControlPlaneDir(), "token"), filepath.Join(i.inst.ControlPlaneDir(), "serving.key"),
		layout.UserKey(i.inst.LimaHome()),
	}
	entries, _ := os.ReadDir(i.inst.StoreDir())
	for _, e := range entries {
		paths = append(paths, filepath.Join(i.inst.StoreDir(), e.Name()))
	}
	entries, _ = os.ReadDir(i.inst.DataDir())
	for _, e := range entries { // former ones that were damaged
		if path := filepath.Join(i.inst.DataDir(), e.Name()); strings.HasPrefix(path, i.inst.ConfigFile()+".") {
			paths = append(paths, path)
		}
	}
	return paths
}
