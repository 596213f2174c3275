package lima

import (
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"
	"golang.org/x/sys/windows"
)

// intercept makes QEMU and every other child end with this hostagent, and gives QEMU its flags.
// The system ends the members of a job when its last handle is closed, which the end of this
// process does, however it ends.
func (a *agent) intercept(arch limayaml.Arch, flags []string) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return err
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, windows.CurrentProcess())
	}
	if err != nil || len(flags) == 0 {
		return err
	}
	exe, args, err := qemu.Exe(arch)
	if err != nil {
		return err
	}
	words := append(append([]string{"'" + filepath.ToSlash(exe) + "'"}, args...), flags...)
	return os.Setenv("QEMU_SYSTEM_"+strings.ToUpper(arch), strings.Join(words, " "))
}

// endChildren has nothing to do: the job ends them.
func endChildren() {}
