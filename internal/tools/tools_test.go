//go:build unix

package tools

import (
	"os"
	"path/filepath"
	"testing"
)

// install returns the path of a program in a new installation of RDD.
func install(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "libexec", "rdd", name)
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestToolsAreLinkedAndWhatIsTheUsersStays(t *testing.T) {
	docker, elsewhere, gone, usersOwn := install(t, "docker"), install(t, "docker"), install(t, "docker"), install(t, "podman")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	const file = "a file of the user's"
	for name, tc := range map[string]struct{ was, program, want string }{
		"nothing there":                          {"", docker, docker},
		"nothing there, and not installed":       {"", gone, ""},
		"linked":                                 {docker, docker, docker},
		"of an RDD in another folder":            {elsewhere, docker, docker},
		"of an RDD that is gone":                 {gone, docker, docker},
		"of this RDD, which is gone":             {gone, gone, ""},
		"of another RDD, and not in this one":    {elsewhere, gone, elsewhere},
		"a link of the user's":                   {usersOwn, docker, usersOwn},
		"a link of the user's, no tool":          {usersOwn, gone, usersOwn},
		"a link that leads nowhere":              {"/no/such/docker", docker, docker},
		"a relative link of the user's":          {"podman", docker, "podman"},
		"a relative link that leads nowhere":     {"nothing", docker, docker},
		"a file of the user's":                   {file, docker, file},
		"a file of the user's, and no such tool": {file, gone, file},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "bin")
			entry := filepath.Join(folder, "docker")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "podman"), nil, 0o700); err != nil {
				t.Fatal(err)
			}
			var err error
			switch tc.was {
			case "":
			case file:
				err = os.WriteFile(entry, []byte(file), 0o700)
			default:
				err = os.Symlink(tc.was, entry)
			}
			for range 2 { // each start of the service does it again
				if err == nil {
					err = Link(folder, map[string]string{"docker": tc.program})
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.Readlink(entry)
			if text, readErr := os.ReadFile(entry); err != nil && readErr == nil {
				got = string(text)
			}
			if got != tc.want {
				t.Errorf("%q leads to %q, want %q", tc.was, got, tc.want)
			}
			if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestFolderThatCantBeMadeIsNamed(t *testing.T) {
	file := install(t, "docker")
	if err := Link(filepath.Join(file, "bin"), nil); err == nil {
		t.Error("no error for a folder below a file")
	}
}
