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

// shellTimeout is how long ssh tries to connect to a VM that is booting or doesn't respond.
const shellTimeout = 30 * time.Second

// ShellOptions are the options of a shell in a VM.
type ShellOptions struct {
	Command []string // empty: a login shell
	Shell   string   // the login shell, such as zsh; empty: the default shell of the guest's user
	Workdir string   // in the guest; empty: the current directory if the guest has it, or else home
}

// Shell returns a command that runs a login shell or another command in the VM. It fails when the VM doesn't run, and starts
// nothing. The command waits up to shellTimeout for a VM that is booting or doesn't respond.
func (v *VMs) Shell(ctx context.Context, name string, o ShellOptions) (*exec.Cmd, error) {
	const op = "open shell in VM"
	vm, err := v.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	if !CanEnter(vm) {
		start := "rdd vm start " + name
		if ManagedByApp(vm) {
			start = "rdd start"
		}
		return nil, Failed(op, name, fmt.Errorf("it is not running; start it with: %s", start))
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

// CanEnter reports whether the VM's guest may be running, so that a shell can be tried.
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
