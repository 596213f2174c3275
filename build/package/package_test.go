//go:build linux

package packages

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/testenv"
)

// made returns the path of the package of a kind in dist. It calls testenv.Missing unless there is exactly one.
func made(t *testing.T, kind string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs what make package makes")
	}
	found, err := filepath.Glob(filepath.Join("..", "..", "dist", "package", "*."+kind))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		testenv.Missing(t, "want one .%s, found %v; run: make package", kind, found)
	}
	return found[0]
}

// output runs a program, which must succeed, and returns its output.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestDebianPackageIsWholeAndItsProgramsWork(t *testing.T) {
	root := t.TempDir()
	deb := made(t, "deb")
	output(t, nil, "dpkg-deb", "-x", deb, root)
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		if exec.CommandContext(t.Context(), "dpkg-deb", "-I", deb, script).Run() == nil {
			t.Errorf("the package has a %s script; installing and removing it must only copy and remove files", script)
		}
	}
	entry := filepath.Join(root, "usr/share/applications/io.rancherdesktop.rdd.desktop")
	output(t, nil, "desktop-file-validate", entry)
	output(t, nil, "appstreamcli", "validate", "--no-net", filepath.Join(root, "usr/share/metainfo/io.rancherdesktop.rdd.metainfo.xml"))
	for _, program := range started(t, entry) {
		info, err := os.Lstat(filepath.Join(root, program))
		if err != nil || info.Mode().IsRegular() && info.Mode().Perm()&0o111 == 0 {
			t.Errorf("the menu starts %s: %v", program, err)
		}
	}
	target, err := os.Readlink(filepath.Join(root, "usr/bin/rdd"))
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "rp") // a short path, because it will hold sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	env := []string{"HOME=" + home, "XDG_DATA_HOME=", "XDG_STATE_HOME=", "RDD_INSTANCE=", "RDD_LIBEXEC="}
	hasGuest(t, root)
	rdd := filepath.Join(root, target)
	output(t, env, rdd, "svc", "start")
	defer output(t, env, rdd, "svc", "delete")
	if said := output(t, env, rdd, "vm", "list", "-o", "json"); strings.TrimSpace(said) != "[]" {
		t.Errorf("a new instance has %s", said)
	}
	output(t, env, rdd, "ctl", "get", "namespaces")
	for command, want := range map[string]string{"docker --version": "Docker version ", "docker compose version": "Docker Compose version v", "docker buildx version": "github.com/docker/buildx v"} {
		words := strings.Fields(command)
		if said := output(t, env, filepath.Join(home, ".rdd/default/bin", words[0]), words[1:]...); !strings.HasPrefix(said, want) {
			t.Errorf("%s: %s", command, said)
		}
	}
}

// hasGuest checks that the files of the guest are where its template says, and are those that it means.
func hasGuest(t *testing.T, root string) {
	t.Helper()
	template, err := os.ReadFile(filepath.Join(root, "usr/lib/rdd/share/rdd/guest/rdd-guest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files := guestFile.FindAllSubmatch(template, -1)
	if len(files) != 3 {
		t.Fatalf("the guest's template has %d files, want a disk, a kernel and an initrd:\n%s", len(files), template)
	}
	for _, file := range files {
		if said := output(t, nil, "sha256sum", filepath.Join(root, string(file[1]))); !strings.HasPrefix(said, string(file[2])) {
			t.Errorf("want %s: %s", file[2], said)
		}
	}
}

// guestFile matches the path and the digest of a file in the guest's template.
var guestFile = regexp.MustCompile(`location: "(.+)"\n(?: +arch: .+\n)? +digest: "sha256:([0-9a-f]{64})"`)

// started returns the programs that a desktop entry starts.
func started(t *testing.T, entry string) (programs []string) {
	t.Helper()
	file, err := os.Open(entry)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if command, ok := strings.CutPrefix(lines.Text(), "Exec="); ok {
			programs = append(programs, strings.Fields(command)[0])
		}
	}
	if len(programs) == 0 {
		t.Errorf("%s starts nothing", entry)
	}
	return programs
}

func TestBothPackagesHoldTheSame(t *testing.T) {
	var deb []string
	for line := range strings.Lines(output(t, nil, "dpkg-deb", "-c", made(t, "deb"))) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(fields[1], "root/root") {
			t.Errorf("not owned by root: %s", line)
		}
		if strings.ContainsAny(fields[0], "sS") {
			t.Errorf("setuid or setgid: %s", line)
		}
		if name := strings.TrimPrefix(fields[5], "."); fields[0][0] != 'd' && !strings.HasSuffix(name, "/copyright") && !strings.HasPrefix(name, "/usr/share/doc/rdd/changelog") {
			deb = append(deb, name)
		}
	}
	slices.Sort(deb)
	rpm := strings.Fields(output(t, nil, "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", made(t, "rpm")))
	var files []string
	for pair := range slices.Chunk(rpm, 2) {
		if pair[0][0] != 'd' {
			files = append(files, pair[1])
		}
	}
	slices.Sort(files)
	if !slices.Equal(deb, files) {
		t.Errorf("the .deb has\n%s\nthe .rpm has\n%s", strings.Join(deb, "\n"), strings.Join(files, "\n"))
	}
}
