package lima

import (
	"os"
	"path/filepath"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/diag"
)

// GuestAgent is the path of the agent in share that fits the guest.
func GuestAgent(share string, y *limayaml.LimaYAML) (string, error) {
	base := filepath.Join(share, "lima", "lima-guestagent."+*y.OS+"-"+*y.Arch)
	for _, path := range []string{base, base + ".gz"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", Permanent(diag.Errorf(diag.InstallBroken, "the guest agent for %s is missing: no %s: install RDD again, or use a template for another architecture", *y.Arch, base))
}

// NeedsGuestAgent reports whether Lima has to install its agent in the guest.
func NeedsGuestAgent(y *limayaml.LimaYAML) bool {
	return !*y.Plain && y.Env[builtinGuestAgent] != "builtin"
}

// builtinGuestAgent is how a template says in its env that the image already holds the guest agent.
const builtinGuestAgent = "RDD_GUEST_AGENT"
