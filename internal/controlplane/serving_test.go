package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/instance"
)

func TestIdentityStaysOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	first, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(first.cert) != string(again.cert) || string(first.key) != string(again.key) || first.token != again.token {
		t.Error("the identity changed")
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, name := range []string{"", certFile, keyFile, tokenFile} {
		want := os.FileMode(0o600)
		if name == "" {
			want = 0o700
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info, err)
		}
	}
}

func TestSpoiledIdentityIsMadeAnew(t *testing.T) {
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	open := func(name string) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), 0o644) }
	}
	cases := []struct {
		name        string
		spoil       func(dir string) error
		cert, token bool // which of them must be new
		posixOnly   bool
	}{
		{"certificate damaged", write(certFile, "garbage"), true, false, false},
		{"key damaged", write(keyFile, "garbage"), true, false, false},
		{"key missing", func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) }, true, false, false},
		{"key readable by others", open(keyFile), true, false, true},
		{"certificate expires soon", func(dir string) error {
			cert, key, err := newCertificate(time.Now().Add(certRenewalMargin - certValidity - time.Hour))
			if err == nil {
				err = write(certFile, string(cert))(dir)
			}
			if err == nil {
				err = write(keyFile, string(key))(dir)
			}
			return err
		}, true, false, false},
		{"token of zeros", write(tokenFile, strings.Repeat("\x00", 27)), false, true, false},
		{"token of other characters", write(tokenFile, "a b\r\nc: d, no token, and long enough\n"), false, true, false},
		{"token cut short", write(tokenFile, "ABCDEFGHIJKLMNOPQRSTUVWXY\n"), false, true, false},
		{"certificate of zeros", write(certFile, strings.Repeat("\x00", 600)), true, false, false},
		{"token empty", write(tokenFile, "\n"), false, true, false},
		{"token readable by others", open(tokenFile), false, true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.posixOnly && runtime.GOOS == "windows" {
				t.Skip("Windows has no file modes")
			}
			dir := t.TempDir()
			before, err := loadIdentity(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			after, err := loadIdentity(dir)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.X509KeyPair(after.cert, after.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pair.Leaf.Verify(verifying(pair.Leaf)); err != nil {
				t.Error(err)
			}
			if renewed := string(before.cert) != string(after.cert) && string(before.key) != string(after.key); renewed != c.cert {
				t.Errorf("new certificate: %v", renewed)
			}
			if renewed := before.token != after.token; renewed != c.token || len(after.token) < 20 {
				t.Errorf("new token: %v", renewed)
			}
			if third, err := loadIdentity(dir); err != nil || third.token != after.token || string(third.cert) != string(after.cert) {
				t.Errorf("the new identity does not stay: %v", err)
			}
		})
	}
}

func verifying(leaf *x509.Certificate) x509.VerifyOptions {
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return x509.VerifyOptions{Roots: roots, DNSName: instance.Loopback()}
}

func TestPortStaysUnlessItIsTaken(t *testing.T) {
	dir := t.TempDir()
	first, err := listen(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := first.Addr().String()
	second, err := listen(dir, 0) // the first still listens
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.Addr().String() == port {
		t.Error("two listeners on one port")
	}
	first.Close()
	next := second.Addr().String()
	second.Close()
	third, err := listen(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if third.Addr().String() != next {
		t.Errorf("the port changed from %s to %s", next, third.Addr())
	}
	if host, _, _ := net.SplitHostPort(third.Addr().String()); host != instance.Loopback() {
		t.Errorf("listens on %s", host)
	}
	if err := os.WriteFile(filepath.Join(dir, portFile), []byte("no port"), 0o600); err != nil {
		t.Fatal(err)
	}
	fourth, err := listen(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fourth.Close()
	if data, _ := os.ReadFile(filepath.Join(dir, portFile)); !strings.HasSuffix(fourth.Addr().String(), ":"+strings.TrimSpace(string(data))) {
		t.Errorf("the file says %q, the listener %s", data, fourth.Addr())
	}
}

func TestAPortThatWasAskedForIsNeverAnotherOne(t *testing.T) {
	dir := t.TempDir()
	first, err := listen(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := first.Addr().(*net.TCPAddr).Port
	_, err = listen(dir, port)
	if _, busy := errors.AsType[*PortError](err); !busy || !strings.Contains(err.Error(), first.Addr().String()) || !strings.Contains(err.Error(), "rdd svc create --port") {
		t.Errorf("a taken port: %v", err)
	}
	first.Close()
	again, err := listen(dir, port)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr().String() != first.Addr().String() {
		t.Errorf("listens on %s", again.Addr())
	}
}
