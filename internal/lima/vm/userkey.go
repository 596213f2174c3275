package vm

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/lima-vm/lima/pkg/lockutil"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// keyComment ends the public key, as Lima's own keys do.
const keyComment = " lima\n"

// ensureUserKey creates the SSH key pair for guests, or the missing half of it: Lima creates a pair only when the
// private key is missing, and never checks what is in the files. A damaged private key is renamed. A running guest
// accepts the old key until it restarts.
func ensureUserKey(limaHome string) error {
	dir := filepath.Join(limaHome, filenames.ConfigDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := lockutil.WithDirLock(dir, func() error { return repairUserKey(dir) })
	if err != nil {
		return fmt.Errorf("make the key for guests in %s: %w", dir, err)
	}
	return nil
}

func repairUserKey(dir string) error {
	private, public := filepath.Join(dir, filenames.UserPrivateKey), filepath.Join(dir, filenames.UserPublicKey)
	key, err := readUserKey(private)
	if damaged, ok := errors.AsType[*atomicfile.DamagedError](err); ok {
		aside, failed := atomicfile.PutAside(private)
		if failed != nil {
			return failed
		}
		logrus.Warnf("%v; it is kept as %s, and a new one is made", damaged, aside)
		err = os.ErrNotExist
	}
	if errors.Is(err, os.ErrNotExist) {
		key, err = newUserKey(private)
	}
	if err != nil {
		return err
	}
	want := append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key.PublicKey())), keyComment...)
	if have, err := os.ReadFile(public); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return atomicfile.Write(public, want)
}

// readUserKey reads the private key, and removes the access of other users: ssh refuses a key that others can read.
func readUserKey(path string) (ssh.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return nil, &atomicfile.DamagedError{File: path, Err: err}
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return key, os.Chmod(path, 0o600)
	}
	return key, nil
}

func newUserKey(path string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "lima")
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Write(path, pem.EncodeToMemory(block)); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}
