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

// clockTolerance is by how much a file may be newer than now before the clock counts as set back.
const clockTolerance = time.Minute

// checkClock compares the clock with what was written by it: the certificate and the newest files.
func checkClock(_ context.Context, i *inspection) []Finding {
	now := time.Now()
	var all []Finding
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), "serving.crt")); err == nil {
		all = append(all, judgeCertificate(b, now)...)
	}
	for _, path := range []string{i.inst.RecordFile(), i.inst.ServiceLog()} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(clockTolerance)) {
			all = append(all, problem(SeverityWarning, diag.ClockSetBack, "it is %s, and %s is from %s", formatTime(now), path, formatTime(info.ModTime())))
		}
	}
	if len(all) == 0 {
		return []Finding{ok("it is %s; nothing here is from the future", formatTime(now))}
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
		return []Finding{problem(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate is valid from %s on", formatTime(now), formatTime(cert.NotBefore))}
	case now.After(cert.NotAfter):
		return []Finding{problem(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate was valid until %s; rdd svc restart makes a new one", formatTime(now), formatTime(cert.NotAfter))}
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
