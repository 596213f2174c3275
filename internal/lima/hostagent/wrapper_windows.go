package hostagent

import (
	"os"
	"path/filepath"
	"strings"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/proc"
)

// wrapPrograms makes QEMU and every other child end with this hostagent, and gives QEMU its flags.
func (h *hostagent) wrapPrograms(y *limayaml.LimaYAML, flags []string) error {
	if err := proc.BindChildren(); err != nil || len(flags) == 0 {
		return err
	}
	exe, args, err := limaqemu.Exe(*y.Arch)
	if err != nil {
		return err
	}
	words := append(append([]string{"'" + filepath.ToSlash(exe) + "'"}, args...), flags...)
	return os.Setenv("QEMU_SYSTEM_"+strings.ToUpper(*y.Arch), strings.Join(words, " "))
}

// endChildren does nothing on Windows: the job ends them.
func endChildren() {}
