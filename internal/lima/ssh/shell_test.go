package ssh

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/template"
)

// The script is given to a real shell, as sshd gives it to the guest's.
func TestAShellStartsInTheRequestedFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, `it's a "$HOME"`)
	if err := exec.Command("mkdir", odd).Run(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		options ShellOptions
		mounted bool
		says    string
		code    int
	}{
		"the caller's folder":        {ShellOptions{Command: []string{"pwd"}, Dir: odd}, true, odd, 0},
		"a folder of the guest":      {ShellOptions{Command: []string{"pwd"}, Dir: dir, Workdir: odd}, true, odd, 0},
		"no such folder":             {ShellOptions{Command: []string{"pwd"}, Workdir: odd + "/x"}, false, "rdd: the guest has no folder " + odd + "/x, or you may not enter it", 1},
		"another shell":              {ShellOptions{Command: []string{"sh", "-c", `echo "$0" '$1' 'a  b'`}, Shell: "sh"}, false, "sh $1 a  b", 0},
		"another shell, in a folder": {ShellOptions{Command: []string{"printf", "%s|", "a b", "it's", "$HOME"}, Shell: "bash", Workdir: odd}, false, "a b|it's|$HOME|", 0},
		"no such shell":              {ShellOptions{Command: []string{"pwd"}, Shell: "no-such-shell"}, false, "no-such-shell", 127},
	} {
		cmd := exec.Command("sh", "-c", tc.options.script(tc.mounted))
		cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
		if !strings.HasPrefix(cmd.Args[2], template.ReadEnvCommand+"; ") {
			t.Errorf("%s: the shell lacks the template's environment variables", name)
		}
		out, _ := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); cmd.ProcessState.ExitCode() != tc.code || (tc.code == 127 && !strings.Contains(got, tc.says)) || (tc.code != 127 && got != tc.says) {
			t.Errorf("%s: exit code %d, %q", name, cmd.ProcessState.ExitCode(), got)
		}
	}
}
