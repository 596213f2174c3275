package diagnose

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
)

// clockSpare is by how much a file may be newer than now before the clock counts as set back.
const clockSpare = time.Minute

// checkClock compares the clock with what was written by it: the certificate and the newest files.
func checkClock(_ context.Context, i *inspection) []Finding {
	now := time.Now()
	var all []Finding
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), "serving.crt")); err == nil {
		all = append(all, judgeCertificate(b, now)...)
	}
	for _, path := range []string{i.inst.RecordFile(), i.inst.ServiceLog()} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(clockSpare)) {
			all = append(all, found(SeverityWarning, diag.ClockSetBack, "it is %s, and %s is from %s", stamp(now), path, stamp(info.ModTime())))
		}
	}
	if len(all) == 0 {
		return []Finding{fine("it is %s; nothing here is from the future", stamp(now))}
	}
	return all
}

func judgeCertificate(b []byte, now time.Time) []Finding {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil // the next start makes another one
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return nil
	case now.Before(cert.NotBefore):
		return []Finding{found(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate is valid from %s on", stamp(now), stamp(cert.NotBefore))}
	case now.After(cert.NotAfter):
		return []Finding{found(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate was valid until %s; rdd svc restart makes a new one", stamp(now), stamp(cert.NotAfter))}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
