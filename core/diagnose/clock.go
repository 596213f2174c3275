package diagnose

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

// clockTolerance is how far in the future the modification time of a file can be before the clock counts as set back.
const clockTolerance = time.Minute

// checkClock compares the clock with the validity of the API's certificate and the modification times of new files.
func checkClock(_ context.Context, i *inspection) []Finding {
	now := time.Now()
	var all []Finding
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), instance.CertFile)); err == nil {
		all = append(all, judgeCertificate(b, now)...)
	}
	for _, path := range []string{i.inst.RecordFile(), i.inst.ServiceLog()} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(clockTolerance)) {
			all = append(all, problem(SeverityWarning, diag.ClockSetBack, "it is %s, and %s is from %s", formatTime(now), path, formatTime(info.ModTime())))
		}
	}
	return orOK(all, "it is %s, and no file is from the future", formatTime(now))
}

// judgeCertificate returns nothing for a damaged certificate. The next start of the service replaces it.
func judgeCertificate(b []byte, now time.Time) []Finding {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return nil
	case now.Before(cert.NotBefore):
		return []Finding{problem(SeverityProblem, diag.ClockWrong, "it is %s, but the API's certificate is not valid before %s", formatTime(now), formatTime(cert.NotBefore))}
	case now.After(cert.NotAfter):
		return []Finding{problem(SeverityProblem, diag.ClockWrong, "it is %s, but the API's certificate expired at %s; rdd svc restart creates a new one", formatTime(now), formatTime(cert.NotAfter))}
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
