package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

const (
	certFile  = instance.CertFile
	keyFile   = instance.KeyFile
	tokenFile = instance.TokenFile
	portFile  = "port"

	certValidity      = 3 * 365 * 24 * time.Hour
	certRenewalMargin = 30 * 24 * time.Hour // replaced when it has less than this left
)

// identity is the certificate and the token. They stay the same over restarts, so that a
// kubeconfig goes on working.
type identity struct {
	cert, key []byte // PEM
	token     string
}

// loadIdentity reads the identity in dir and makes again what is missing, damaged,
// about to expire, or was readable by others.
func loadIdentity(dir string) (identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return identity{}, fmt.Errorf("control plane folder: %w", err)
	}
	var id identity
	var err error
	if id.cert, id.key, err = loadCertificate(dir); err != nil {
		if id.cert, id.key, err = newCertificate(time.Now()); err != nil {
			return identity{}, err
		}
		// The key goes first: a certificate without its key is replaced, too.
		if err := atomicfile.Write(filepath.Join(dir, keyFile), id.key); err != nil {
			return identity{}, err
		}
		if err := atomicfile.Write(filepath.Join(dir, certFile), id.cert); err != nil {
			return identity{}, err
		}
	}
	if id.token, err = loadToken(dir); err != nil {
		id.token = rand.Text()
		return id, atomicfile.Write(filepath.Join(dir, tokenFile), []byte(id.token+"\n"))
	}
	return id, nil
}

func loadCertificate(dir string) (cert, key []byte, err error) {
	if key, err = readPrivate(filepath.Join(dir, keyFile)); err != nil {
		return nil, nil, err
	}
	if cert, err = os.ReadFile(filepath.Join(dir, certFile)); err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, nil, err
	}
	if err := pair.Leaf.VerifyHostname(instance.Loopback()); err != nil {
		return nil, nil, err
	}
	if left := time.Until(pair.Leaf.NotAfter); left < certRenewalMargin {
		return nil, nil, fmt.Errorf("the serving certificate expires in %v", left)
	}
	return cert, key, nil
}

func newCertificate(now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "rdd"},
		NotBefore:             now.Add(-24 * time.Hour), // the clock may be set back
		NotAfter:              now.Add(certValidity),
		IPAddresses:           []net.IP{net.ParseIP(instance.Loopback()), net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return cert, key, nil
}

// tokenRE is what rand.Text makes.
var tokenRE = regexp.MustCompile(`^[A-Z2-7]{26,64}$`)

func loadToken(dir string) (string, error) {
	data, err := readPrivate(filepath.Join(dir, tokenFile))
	token := strings.TrimSpace(string(data))
	if err == nil && !tokenRE.MatchString(token) {
		return "", fmt.Errorf("%s is damaged", tokenFile)
	}
	return token, err
}

// readPrivate reads a file that nobody else could have read.
func readPrivate(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s was readable by others", file)
	}
	return os.ReadFile(file)
}

// PortError means that the port that was asked for can't be listened on.
type PortError struct {
	Address string
	Err     error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("the API can't listen on %s, the port that this instance was given: %v: end the program that has it, or choose another port with: rdd svc create --port PORT (0: any that is free)", e.Address, e.Err)
}

func (e *PortError) Unwrap() error { return e.Err }

// ProblemID names the known problem.
func (e *PortError) ProblemID() string { return string(diag.PortInUse) }

// listen opens the given port; or, if that is 0, the port of the last run, or any other
// if that one is taken. It writes it down for the next run.
func listen(dir string, port int) (net.Listener, error) {
	if port == 0 {
		return listenAsBefore(dir)
	}
	at := net.JoinHostPort(instance.Loopback(), strconv.Itoa(port))
	listener, err := net.Listen("tcp", at)
	if err != nil {
		var cause *net.OpError // whose words would name the address again
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, &PortError{at, err}
	}
	return listener, nil
}

func listenAsBefore(dir string) (net.Listener, error) {
	file := filepath.Join(dir, portFile)
	last := "0"
	if data, err := os.ReadFile(file); err == nil {
		if port, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 16); err == nil {
			last = strconv.FormatUint(port, 10)
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(instance.Loopback(), last))
	if err != nil && last != "0" {
		listener, err = net.Listen("tcp", net.JoinHostPort(instance.Loopback(), "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if port == last {
		return listener, nil
	}
	if err := atomicfile.Write(file, []byte(port+"\n")); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}
