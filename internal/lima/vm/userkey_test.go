package vm

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/lima-vm/lima/pkg/sshutil"
	"golang.org/x/crypto/ssh"
)

// What is left of a key is used on, and what can't be one is made again: else every start of a VM fails.
func TestKeyForGuestsIsMadeAgainWhenItCantBeWhatWasWritten(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(private, public string) error
		stays bool // the private key
	}{
		{"nothing", func(string, string) error { return nil }, true},
		{"public key gone", func(_, public string) error { return os.Remove(public) }, true},
		{"public key of zeros", func(_, public string) error { return os.WriteFile(public, make([]byte, 80), 0o600) }, true},
		{"public key of another", func(_, public string) error {
			return os.WriteFile(public, []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0o8xYyO5RuXnJkDqj2m0k0Qw0O8Hq6vK4m7l8m0v2h x\n"), 0o600)
		}, true},
		{"private key open to others", func(private, _ string) error { return os.Chmod(private, 0o644) }, true},
		{"private key gone", func(private, _ string) error { return os.Remove(private) }, false},
		{"private key empty", func(private, _ string) error { return os.WriteFile(private, nil, 0o600) }, false},
		{"private key of zeros", func(private, _ string) error { return os.WriteFile(private, make([]byte, 400), 0o600) }, false},
		{"both gone", func(private, _ string) error { return os.RemoveAll(filepath.Dir(private)) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("LIMA_HOME", home)
			private, public := filepath.Join(home, "_config", "user"), filepath.Join(home, "_config", "user.pub")
			if err := ensureUserKey(home); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(private)
			if err := tc.spoil(private, public); err != nil {
				t.Fatal(err)
			}
			spoilt, _ := os.ReadFile(private)
			if err := ensureUserKey(home); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(private)
			if err != nil || (string(after) == string(before)) != tc.stays {
				t.Errorf("the private key stays: %t; %v", !tc.stays, err)
			}
			key, err := ssh.ParsePrivateKey(after)
			if err != nil {
				t.Fatal(err)
			}
			lima, err := sshutil.DefaultPubKeys(false) // what the guest is told
			if want := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))) + " lima"; err != nil || len(lima) != 1 || lima[0].Content != want {
				t.Errorf("guests are told %v, want %s; %v", lima, want, err)
			}
			if info, err := os.Stat(private); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Error(info.Mode(), err)
			}
			if kept, err := os.ReadFile(private + ".damaged"); !tc.stays && spoilt != nil && string(kept) != string(spoilt) {
				t.Errorf("what was there is lost: %q, %v", kept, err)
			}
		})
	}
}

func TestTwoVMsMakeOneKey(t *testing.T) {
	home := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := ensureUserKey(home); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if kept, _ := filepath.Glob(filepath.Join(home, "_config", "*.damaged*")); len(kept) > 0 {
		t.Error(kept)
	}
}
