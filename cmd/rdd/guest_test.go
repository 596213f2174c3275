package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// newerRDD COMMANDS makes an RDD with another guest, and lets $RDD_LIBEXEC name it. The lines of the file COMMANDS are for debugfs,
// which changes the guest's disk with them.
func newerRDD(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newerrdd COMMANDS")
	}
	dir, err := os.MkdirTemp(ts.Getenv("WORK"), "newer")
	ts.Check(err)
	for _, name := range []string{"libexec", "share"} { // links to all files
		ts.Check(ts.Exec("cp", "-rs", filepath.Join(ts.Getenv("DIST"), name), dir))
	}
	ts.Check(changeGuest(filepath.Join(dir, "share", "rdd", "guest"), ts.MkAbs(args[0])))
	ts.Setenv("RDD_LIBEXEC", filepath.Join(dir, "libexec", "rdd"))
}

// diskLocation is the line of a guest's template that names its disk.
var diskLocation = regexp.MustCompile(`location: "[^"]*/rootfs\.qcow2"`)

// changeGuest replaces the links to a guest's disk and template in dir: by a disk that debugfs has changed, and a template that
// names it.
func changeGuest(dir, commands string) error {
	disk, raw, template := filepath.Join(dir, "rootfs.qcow2"), filepath.Join(dir, "rootfs.raw"), filepath.Join(dir, "rdd-guest.yaml")
	was, err := digestOf(disk)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	for _, command := range [][]string{
		{"qemu-img", "convert", "-O", "raw", disk, raw},
		{"/usr/sbin/debugfs", "-w", "-f", commands, raw},
		{"rm", disk, template},
		{"qemu-img", "convert", "-O", "qcow2", raw, disk},
		{"rm", raw},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = filepath.Dir(commands) // of the files that debugfs writes
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", command, err, out)
		}
	}
	is, err := digestOf(disk)
	if err != nil {
		return err
	}
	if is == was { // debugfs reports no error
		return fmt.Errorf("the commands in %s did not change the guest's disk", commands)
	}
	text = diskLocation.ReplaceAll(text, fmt.Appendf(nil, "location: %q", disk))
	return os.WriteFile(template, []byte(strings.Replace(string(text), was, is, 1)), 0o600)
}

// digestOf returns the SHA-256 of a file, in hexadecimal.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
