package core

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// shellTimeout is how long a VM that is not known to answer may take to let somebody in.
const shellTimeout = 30 * time.Second

// ShellOptions say what runs in a VM, and where.
type ShellOptions struct {
	Command []string // empty: a login shell
	Shell   string   // of the guest, such as zsh, as a login shell; empty: its user's own
	Workdir string   // in the guest, to begin in; empty: the current folder where the guest has it, else home
}

// Shell returns the command that runs a command in the VM, or a login shell. It fails when the VM does
// not run; it starts nothing. A VM that still boots, or doesn't answer, is given shellPatience to do so.
func (v *VMs) Shell(ctx context.Context, name string, o ShellOptions) (*exec.Cmd, error) {
	const op = "open shell in VM"
	vm, err := v.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	if !CanEnter(vm) {
		return nil, Failed(op, name, fmt.Errorf("it is not running; start it with: rdd vm start %s", name))
	}
	inst := v.session.core.inst
	program, err := v.session.core.limaProgram()
	if err != nil {
		return nil, Failed(op, name, err)
	}
	args := []string{"ssh", "--lima-home", inst.LimaHome()}
	if o.Shell != "" {
		args = append(args, "--shell="+o.Shell)
	}
	if o.Workdir != "" {
		args = append(args, "--workdir="+o.Workdir)
	}
	if !meta.IsStatusConditionTrue(vm.Status.Conditions, v1alpha1.ConditionRunning) {
		args = append(args, "--patience="+shellTimeout.String())
	}
	args = append(args, name, "--")
	cmd := exec.Command(program, append(args, o.Command...)...)
	v.session.core.running(cmd)
	return cmd, nil
}

// CanEnter says whether a guest of the VM may run, so that a shell in it can be tried.
func CanEnter(vm *VM) bool {
	running := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	if running == nil {
		return false
	}
	switch running.Reason {
	case v1alpha1.ReasonStarting, v1alpha1.ReasonUnresponsive, v1alpha1.ReasonPaused, v1alpha1.ReasonStopping, v1alpha1.ReasonStopFailed:
		return running.Status == metav1.ConditionUnknown
	}
	return running.Status == metav1.ConditionTrue
}
