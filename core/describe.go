package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/logs"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Description is a VM in a person's words. Every client shows these.
type Description struct {
	State        string // Running, Stopped, Starting, …
	Acceleration string // hardware, emulation or ?
	Progress     string // the step under way; may be empty
	Phase        string // the same in a word or two, such as "image 42 %"
	Problem      string // why it is not as it was asked to be, or what of it doesn't work; may be empty
	Problems     int    // with Running: how many things don't work
	Template     string // the ConfigMap that holds its validated template
}

// Describe puts a VM's status into words.
func Describe(vm *VM) Description {
	d := Description{State: "Pending", Acceleration: "?"}
	created := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionCreated)
	running := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	accelerated := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionAccelerated)
	switch {
	case vm.DeletionTimestamp != nil:
		d.State = "Deleting"
	case running != nil && running.Status == metav1.ConditionTrue:
		d.State = "Running"
	case created != nil && created.Reason == v1alpha1.ReasonCreateFailed:
		d.State = created.Reason
	case created != nil && created.Reason == v1alpha1.ReasonRemoving:
		d.State = "Resetting"
	case created != nil && created.Reason == v1alpha1.ReasonPending:
		d.State = "Creating"
	case running != nil:
		d.State = running.Reason
	}
	if accelerated != nil && accelerated.Status != metav1.ConditionUnknown {
		d.Acceleration = "emulation"
		if accelerated.Status == metav1.ConditionTrue {
			d.Acceleration = "hardware"
		}
	}
	if p := vm.Status.Progress; p != nil {
		d.Progress, d.Phase = describeProgress(p), shortProgress(p)
		if strings.EqualFold(p.Phase, d.State) { // "Unresponsive (unresponsive)" says it twice
			d.Progress, d.Phase = p.Message, ""
		}
	}
	if failure, _ := vm.Failure(); failure != nil {
		d.Problem = failure.Message
	} else if d.State == "Running" {
		d.Problem, d.Problems = strings.Join(vm.Status.Problems, "\n"), len(vm.Status.Problems)
	}
	if vm.Status.TemplateConfigMap != "" {
		d.Template = v1alpha1.SystemNamespace + "/" + vm.Status.TemplateConfigMap
	}
	return d
}

func describeProgress(p *v1alpha1.Progress) string {
	s := p.Phase
	if p.Steps > 0 {
		s = fmt.Sprintf("[%d/%d] %s", p.Step, p.Steps, s)
	}
	if p.Message != "" {
		s += ": " + p.Message
	}
	if p.Total > 0 {
		s += fmt.Sprintf(", %d %%", 100*p.Bytes/p.Total)
	}
	return s
}

func shortProgress(p *v1alpha1.Progress) string {
	switch {
	case p.Total > 0:
		return fmt.Sprintf("%s %d %%", p.Phase, 100*p.Bytes/p.Total)
	case p.Steps > 0:
		return fmt.Sprintf("%s, %d of %d", p.Phase, p.Step, p.Steps)
	case p.Phase == event.Stop: // the state says so
		return ""
	}
	return p.Phase
}

// The logs that a VM has.
const (
	LogHostagent = "hostagent" // what runs the VM on the host
	LogSerial    = "serial"    // the guest's console
	LogEvents    = "events"    // the hostagent's events, one JSON object a line
)

// LogSources names the logs that a VM has.
func LogSources() []string { return []string{LogHostagent, LogSerial, LogEvents} }

// VMLog writes one of a VM's logs to w; with follow it goes on until ctx ends. It needs no service.
func (c *Core) VMLog(ctx context.Context, w io.Writer, name, source string, follow bool) error {
	const op = "read the log of VM"
	vm := c.layout(name)
	path := map[string]string{LogHostagent: vm.AgentLog(), LogSerial: vm.SerialLog(), LogEvents: vm.Events()}[source]
	if path == "" {
		return &Error{Kind: Usage, Op: op, Object: name, Err: fmt.Errorf("there is no log %q; known: %s", source, strings.Join(LogSources(), ", "))}
	}
	if !filepath.IsLocal(name) || slices.Contains([]string{".", ""}, name) {
		return &Error{Kind: Usage, Op: op, Object: name, Err: errors.New("this is not a VM's name")}
	}
	return failed(op, name, logs.Copy(ctx, w, path, follow))
}

// LogDir is where a VM's logs are.
func (v *VMs) LogDir(name string) string { return v.session.core.layout(name).Logs }

func (c *Core) layout(name string) layout.VM {
	return layout.VM{Home: c.inst.LimaHome(), Name: name, Logs: filepath.Join(c.inst.VMLogDir(), name)}
}
