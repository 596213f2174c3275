package packages

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// An untagged build called itself by its commit alone, which told nobody what it is.
func TestVersionSaysWhichReleaseABuildBelongsTo(t *testing.T) {
	script, err := filepath.Abs("../version")
	if err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	t.Chdir(source)
	env := []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(source)}
	git := func(args ...string) {
		output(t, env, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	}
	commit := func() { git("commit", "-q", "--allow-empty", "-m", "a: b") }
	for _, tc := range []struct {
		what string
		do   func()
		want string
	}{
		{"without git", func() {}, `v\d+\.\d+\.\d+-dev`},
		{"untagged", func() { git("init", "-q"); commit() }, `v\d+\.\d+\.\d+-dev\+[0-9a-f]{7,}`},
		{"changed", func() {
			if err := os.WriteFile("file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			git("add", "file")
		}, `v\d+\.\d+\.\d+-dev\+[0-9a-f]{7,}-dirty`},
		{"tagged", func() { git("commit", "-q", "-m", "a: b"); git("tag", "-a", "v1.2.3", "-m", "v1.2.3") }, `v1\.2\.3`},
		{"after the tag", commit, `v1\.2\.3-1-g[0-9a-f]{7,}`},
	} {
		tc.do()
		if got := output(t, env, script); !regexp.MustCompile("^" + tc.want + "\n$").MatchString(got) {
			t.Errorf("%s: %q, want %s", tc.what, got, tc.want)
		}
	}
}
