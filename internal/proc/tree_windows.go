package proc

import (
	"io"
	"os"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"
)

// lead keeps the Ctrl-C of any console away from cmd.
func lead(cmd *exec.Cmd) {
	attributes(cmd).CreationFlags = windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW
}

// group is a job object. The system ends its members when our handle is closed, which also happens when this process ends,
// however it ends.
type group struct{ job, leader windows.Handle }

func groupOf(p *os.Process) (group, error) {
	leader, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(p.Pid))
	if err != nil {
		return group{}, os.NewSyscallError("OpenProcess", err)
	}
	job, err := newJob()
	if err == nil {
		err = os.NewSyscallError("AssignProcessToJobObject", windows.AssignProcessToJobObject(job, leader))
	}
	if err != nil {
		_ = windows.CloseHandle(leader)
		return group{}, err
	}
	return group{job, leader}, nil
}

// BindChildren makes every process that this one starts from now on end with it, however it ends.
func BindChildren() error {
	job, err := newJob() // closed only by the system
	if err != nil {
		return err
	}
	return os.NewSyscallError("AssignProcessToJobObject", windows.AssignProcessToJobObject(job, windows.CurrentProcess()))
}

// newJob returns a job object whose members end when its last handle is closed.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, os.NewSyscallError("CreateJobObject", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return 0, os.NewSyscallError("SetInformationJobObject", err)
	}
	return job, nil
}

// await blocks until the leader has ended.
func (g group) await() { _, _ = windows.WaitForSingleObject(g.leader, windows.INFINITE) }

func (g group) kill() { _ = windows.TerminateJobObject(g.job, 1) }

func (g group) close() {
	_ = windows.CloseHandle(g.job)
	_ = windows.CloseHandle(g.leader)
}

// startTethered starts cmd without a tether: the system ends the members of the job.
func startTethered(cmd *exec.Cmd) (tether io.Closer, err error) {
	return io.NopCloser(nil), startAlone(cmd)
}

// EndWithParent does nothing: the root of a tree is a member of its parent's job.
func EndWithParent(string) error { return nil }
