package main

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
)

// Errors of unknown clients go to the service's log, which is rotated, and not to the file for crashes.
func TestErrorsOfConnectionsAreInTheLog(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.must(0, "svc", "start", "--log-level", "debug")
	address := strings.TrimPrefix(e.record().Server, "https://")
	for range 3 {
		plain, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = plain.Write([]byte("neither TLS nor HTTP\r\n\r\n"))
		_, _ = plain.Read(make([]byte, 1)) // until the server closes the connection
		_ = plain.Close()
	}
	wrong, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = wrong.Write([]byte("no HTTP/2 begins like this\r\n\r\n"))
	t.Cleanup(func() { _ = wrong.Close() })
	has := func(text string) bool {
		log, err := os.ReadFile(e.serviceLog())
		return err == nil && strings.Contains(string(log), text)
	}
	e.eventually("the failed handshake is in the log", func() bool { return has("TLS handshake error") })
	e.eventually("the wrong protocol is in the log", func() bool { return has("error reading preface") })
	if out, err := os.ReadFile(e.serviceOut()); err != nil || strings.Contains(string(out), "http2") || strings.Contains(string(out), "TLS") {
		t.Errorf("%s: %s, %v", e.serviceOut(), out, err)
	}
}
