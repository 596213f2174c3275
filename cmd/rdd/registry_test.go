package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"

	"rancherdesktop.io/rdd/internal/testenv"
)

// guestsHost is the name of this host in guests.
const guestsHost = "host.lima.internal"

// registry USER PASSWORD runs Debian's docker-registry until the end of the script, with a password and a certificate of its
// own. It sets REGISTRY to its address for guests, and REGISTRYCA to the file with the certificate.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: registry USER PASSWORD")
	}
	program, err := testenv.Unpacked("docker-registry", "usr/bin/docker-registry")
	if err != nil {
		ts.Fatalf("%v", err)
	}
	dir := ts.MkAbs("registry")
	ts.Check(os.Mkdir(dir, 0o700))
	hash, err := bcrypt.GenerateFromPassword([]byte(args[1]), bcrypt.MinCost)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "users"), fmt.Appendf(nil, "%s:%s\n", args[0], hash), 0o600))
	ca, err := writeCertificate(dir, guestsHost)
	ts.Check(err)
	freePorts(ts, false, []string{"REGISTRYPORT"})
	port := ts.Getenv("REGISTRYPORT")
	config := fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %[1]s/data}}
http: {addr: "127.0.0.1:%[2]s", tls: {certificate: %[1]s/cert.pem, key: %[1]s/key.pem}}
auth: {htpasswd: {realm: test, path: %[1]s/users}}
`, dir, port)
	ts.Check(os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600))
	log, err := os.Create(filepath.Join(dir, "log"))
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", filepath.Join(dir, "config.yml"))
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		stop()
		_ = cmd.Wait()
		_ = log.Close()
	})
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca, ServerName: guestsHost},
	}}
	var last error
	if !testenv.Within(func() bool {
		answer, err := client.Get("https://127.0.0.1:" + port + "/v2/")
		if last = err; err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}) {
		text, _ := os.ReadFile(log.Name())
		ts.Fatalf("docker-registry does not answer: %v\n%s", last, text)
	}
	ts.Setenv("REGISTRY", net.JoinHostPort(guestsHost, port))
	ts.Setenv("REGISTRYCA", filepath.Join(dir, "cert.pem"))
}

// writeCertificate writes a certificate for a host, which is its own authority, and its key as cert.pem and key.pem.
func writeCertificate(dir, host string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), text, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool, nil
}

// boxImage FILE makes the file system of an image whose only program is /box, as a tar file for docker import.
func boxImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: boximage FILE")
	}
	ts.Check(buildBox(ts.MkAbs(args[0])))
}

// buildBox writes a tar file with the program of the engine's tests as /box.
func buildBox(file string) error {
	dir, err := os.MkdirTemp("", "box")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("sh", "-ec", `go build -ldflags='-s -w' -o "$1/box" ../../internal/engine/testdata/box; tar -C "$1" -cf "$2" box`, "sh", dir, file)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build box: %w\n%s", err, out)
	}
	return nil
}
