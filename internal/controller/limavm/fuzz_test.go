package limavm

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// FuzzAdmit gives objects to the validator, as the API server would, and some that it would not. The validator
// may say no; it must not panic, nor change the object.
func FuzzAdmit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"metadata":null}`, `{"spec":[]}`, `{"spec":{"params":{"a":1}}}`, `{"data":{"template":7}}`, `{"data":"x"}`,
		`{"metadata":{"name":"a","uid":"1","resourceVersion":"1"},"spec":{"template":"images: []","params":{"color":"loud"}}}`,
		`{"metadata":{"name":"a"},"spec":{"templateRef":{"name":"x"}}}`,
		`{"metadata":{"name":"a","deletionTimestamp":"yesterday"},"spec":{"resetAt":"never"}}`,
		`{"metadata":{"name":"limavm-a","ownerReferences":[{"apiVersion":"lima.rancherdesktop.io/v1alpha1","kind":"LimaVM","name":"a","uid":"1","controller":true}]},"data":{"template":"broken"}}`,
		`{"metadata":{"name":"limavm-a","ownerReferences":[{"apiVersion":"/////","kind":"LimaVM","controller":true},7]},"data":{}}`,
	} {
		f.Add(seed, seed, uint8(1))
		f.Add(seed, `{"metadata":{"name":"a"},"spec":{"template":"broken"}}`, uint8(6))
	}
	machines := newFakeMachines()
	machines.reject = lima
	f.Fuzz(func(t *testing.T, object, old string, how uint8) {
		validator := newValidator(machines, func(string) error { return nil }, func(*v1alpha1.LimaVM) error { return nil })
		validator.live.Connect(fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(&v1alpha1.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1"}}).Build())
		r := admission.Review{Operation: []admission.Operation{admission.Create, admission.Update, admission.Delete}[how%3], Namespace: v1alpha1.SystemNamespace, User: "somebody"}
		var now, was map[string]any
		if json.Unmarshal([]byte(object), &now) != nil || json.Unmarshal([]byte(old), &was) != nil || now == nil || was == nil {
			return
		}
		if r.Operation != admission.Delete {
			r.Object = &unstructured.Unstructured{Object: now}
			r.Name = r.Object.GetName()
		}
		if r.Operation != admission.Create {
			r.Old = &unstructured.Unstructured{Object: was}
			r.Name = r.Old.GetName()
		}
		before, _ := json.Marshal([]any{now, was})
		rules := validator.admission()
		err := rules[int(how)/3%len(rules)].Admit(context.Background(), r)
		if after, _ := json.Marshal([]any{now, was}); string(before) != string(after) {
			t.Errorf("it changed the object: %s", after)
		}
		if _, understood := err.(apierrors.APIStatus); err != nil && !understood {
			t.Errorf("an error that no client understands: %v", err)
		}
	})
}

// FuzzDecide builds situations, likely and not, and checks what holds in all of them.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(2000) {
		f.Add(seed*0x9E3779B97F4A7C15, seed)
	}
	phases := []machine.Phase{machine.Unknown, machine.Absent, machine.Preparing, machine.Stopped, machine.Starting, machine.Running, machine.Stopping, machine.Removing, "nonsense"}
	actions := []machine.Action{machine.None, machine.Prepare, machine.Start, machine.Stop, machine.Kill, machine.Remove}
	f.Fuzz(func(t *testing.T, bits, more uint64) {
		flip := func() bool { b := bits&1 == 1; bits >>= 1; return b }
		pick := func(n int) int { i := int(bits % uint64(n)); bits /= uint64(n); return i }
		phase := phases[pick(len(phases))]
		var changes []func(*observation)
		for _, c := range []func(*observation){idle, force, deleted, restart, restarted, reset, wasReset, fresh, uncreated, newer, exited, refusedFor("because", true), refusedFor("because", false)} {
			if flip() {
				changes = append(changes, c)
			}
		}
		if flip() {
			changes = append(changes, failing(actions[pick(len(actions))], flip()))
		}
		if flip() {
			changes = append(changes, counted(time.Duration(more%100)*time.Second))
		}
		o := situation(phase, changes...)
		d := decide(o)
		switch {
		case d.removeFinalizer && d.request.Action != machine.None:
			t.Errorf("it asks to %s a VM that it lets go", d.request.Action)
		case d.removeFinalizer && (o.vm.DeletionTimestamp.IsZero() || phase != machine.Absent):
			t.Errorf("it lets a VM go that is %s, deleted at %v", phase, o.vm.DeletionTimestamp)
		case d.storeTemplate && o.vm.DeletionTimestamp != nil:
			t.Error("it keeps a template for a VM on its way out")
		case d.request.Action == machine.Remove && o.vm.DeletionTimestamp.IsZero() && !o.vm.ResetPending():
			t.Error("it removes a disk that nobody asked it to remove")
		case d.request.Action == machine.Kill && o.vm.Spec.StopMode != v1alpha1.StopForce:
			t.Error("it kills a guest that nobody asked it to kill")
		case (d.request.Action == machine.Start || d.request.Action == machine.Prepare) && (len(d.request.Template) == 0 || !o.vm.DeletionTimestamp.IsZero()):
			t.Errorf("it makes a VM without a template, or one to be deleted: %+v", d.request)
		case d.request.Action == machine.Start && !o.vm.Spec.Running:
			t.Error("it starts a VM that is not to run")
		case phase == machine.Unknown && (d.request.Action != machine.None || d.removeFinalizer):
			t.Error("it acts before the worker has looked")
		case d.requeueAfter < 0:
			t.Errorf("again in %s", d.requeueAfter)
		}
		// Deciding again at once, with what was noted, repeats nothing but the same wish.
		o.vm.Status, o.backoff, o.templateStored = d.status, d.backoff, o.templateStored || d.storeTemplate
		if again := decide(o); again.status.RestartCount != d.status.RestartCount {
			t.Error("an exit was counted twice")
		}
	})
}
