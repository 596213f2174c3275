package v1alpha1

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// seen is a VM of generation 5 whose status has taken generation 5 into account.
func seen(running bool, conditions ...metav1.Condition) *LimaVM {
	vm := &LimaVM{
		ObjectMeta: metav1.ObjectMeta{Name: "rd", UID: "1", Generation: 5},
		Spec:       LimaVMSpec{Running: running},
		Status:     LimaVMStatus{ObservedGeneration: 5, Conditions: conditions},
	}
	return vm
}

func is(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "because", ObservedGeneration: 5}
}

func older(c metav1.Condition) metav1.Condition {
	c.ObservedGeneration = 4
	return c
}

const (
	yes     = metav1.ConditionTrue
	no      = metav1.ConditionFalse
	unknown = metav1.ConditionUnknown
)

func TestSettledRunning(t *testing.T) {
	created := is(ConditionCreated, yes, ReasonCreated)
	pending := seen(false, created, is(ConditionRunning, no, ReasonStopped))
	asked := metav1.NowMicro()
	pending.Spec.ResetAt = &asked
	for _, tc := range []struct {
		name   string
		vm     *LimaVM
		done   bool
		failed string // reason of the failure
	}{
		{"nothing known", seen(true), false, ""},
		{"started", seen(true, created, is(ConditionRunning, yes, ReasonStarted)), true, ""},
		{"started of an older generation", seen(true, created, older(is(ConditionRunning, yes, ReasonStarted))), false, ""},
		{"starting", seen(true, created, is(ConditionRunning, unknown, ReasonStarting)), false, ""},
		{"stopping for a restart", seen(true, created, is(ConditionRunning, unknown, ReasonStopping)), false, ""},
		{"not started yet", seen(true, created, is(ConditionRunning, no, ReasonStopped)), false, ""},
		{"start failed, will be tried again", seen(true, created, is(ConditionRunning, unknown, ReasonStartFailed)), false, ""},
		{"start failed for good", seen(true, created, is(ConditionRunning, no, ReasonStartFailed)), false, ReasonStartFailed},
		{"start failed for good, of an older generation", seen(true, created, older(is(ConditionRunning, no, ReasonStartFailed))), false, ""},
		{"create failed for good", seen(true, is(ConditionCreated, no, ReasonCreateFailed), is(ConditionRunning, no, ReasonStartFailed)), false, ReasonCreateFailed},
		{"create failed, will be tried again", seen(true, is(ConditionCreated, unknown, ReasonCreateFailed), is(ConditionRunning, unknown, ReasonStartFailed)), false, ""},
		{"stopped", seen(false, created, is(ConditionRunning, no, ReasonStopped)), true, ""},
		{"stopped, and the old disk is still there", pending, false, ""},
		{"stopped of an older generation", seen(false, created, older(is(ConditionRunning, no, ReasonStopped))), false, ""},
		{"stopping", seen(false, created, is(ConditionRunning, unknown, ReasonStopping)), false, ""},
		{"still started", seen(false, created, is(ConditionRunning, yes, ReasonStarted)), false, ""},
		{"stop is late", seen(false, created, is(ConditionRunning, unknown, ReasonStopFailed)), false, ""},
		{"stopped, and never created", seen(false, is(ConditionCreated, no, ReasonCreateFailed), is(ConditionRunning, no, ReasonStopped)), true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done, err := tc.vm.SettledRunning(5)
			judge(t, done, err, tc.done, tc.failed)
		})
	}
}

func TestSettledCreated(t *testing.T) {
	for _, tc := range []struct {
		name   string
		vm     *LimaVM
		done   bool
		failed string
	}{
		{"nothing known", seen(false), false, ""},
		{"pending", seen(false, is(ConditionCreated, unknown, ReasonPending)), false, ""},
		{"created", seen(false, is(ConditionCreated, yes, ReasonCreated)), true, ""},
		{"created, of an older generation", seen(false, older(is(ConditionCreated, yes, ReasonCreated))), false, ""},
		{"failed, will be tried again", seen(false, is(ConditionCreated, unknown, ReasonCreateFailed)), false, ""},
		{"failed for good", seen(false, is(ConditionCreated, no, ReasonCreateFailed)), false, ReasonCreateFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done, err := tc.vm.SettledCreated(5)
			judge(t, done, err, tc.done, tc.failed)
		})
	}
}

func judge(t *testing.T, done bool, err error, want bool, reason string) {
	t.Helper()
	failed, _ := errors.AsType[*FailedError](err)
	if done != want || (failed == nil) != (reason == "") || (err == nil) != (reason == "") {
		t.Fatalf("done=%t err=%v", done, err)
	}
	if failed != nil && (failed.Reason != reason || failed.Message != "because") {
		t.Errorf("failed with %+v", failed)
	}
}

// A condition may be up to date while the status as a whole is not, and the other way round.
func TestOlderStatusNeverSatisfies(t *testing.T) {
	vm := seen(true, is(ConditionRunning, yes, ReasonStarted))
	for generation, want := range map[int64]bool{4: true, 5: true, 6: false} {
		if done, err := vm.SettledRunning(generation); done != want || err != nil {
			t.Errorf("generation %d: done=%t err=%v", generation, done, err)
		}
	}
	vm.Status.ObservedGeneration = 4
	if done, _ := vm.SettledRunning(5); done {
		t.Error("satisfied by a status of generation 4")
	}
}

func TestAsked(t *testing.T) {
	started := func(change func(*LimaVM)) *LimaVM {
		vm := seen(true, is(ConditionCreated, yes, ReasonCreated), is(ConditionRunning, yes, ReasonStarted))
		change(vm)
		return vm
	}
	asked := started(func(*LimaVM) {}).Expectation()
	now := metav1.Now()
	for _, tc := range []struct {
		name    string
		vm      *LimaVM
		done    bool
		err     error
		deleted bool
	}{
		{"as asked", started(func(*LimaVM) {}), true, nil, false},
		{"gone", nil, false, ErrDeleted, true},
		{"being deleted", started(func(vm *LimaVM) { vm.DeletionTimestamp = &now }), false, ErrDeleted, false},
		{"another VM of the same name", started(func(vm *LimaVM) { vm.UID = "2" }), false, ErrDeleted, true},
		{"asked to stop meanwhile", started(func(vm *LimaVM) { vm.Spec.Running, vm.Generation = false, 6 }), false, ErrSuperseded, false},
		{"changed otherwise meanwhile", started(func(vm *LimaVM) { vm.Generation = 6 }), true, nil, false},
		{"not looked at since", started(func(vm *LimaVM) { vm.Status.ObservedGeneration = 4 }), false, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done, err := asked.Running(tc.vm)
			if done != tc.done || !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), `VM "rd"`) {
				t.Errorf("Running: done=%t err=%v", done, err)
			}
			if created, err := asked.Created(tc.vm); !errors.Is(tc.err, ErrSuperseded) && (created != tc.done || !errors.Is(err, tc.err)) {
				t.Errorf("Created: done=%t err=%v", created, err)
			}
			if deleted, err := asked.Deleted(tc.vm); deleted != tc.deleted || err != nil {
				t.Errorf("Deleted: done=%t err=%v", deleted, err)
			}
		})
	}
}

// A stop, by force say, may be waited for while the VM is being deleted: deletion stops it first.
func TestStopOfAVMThatIsBeingDeleted(t *testing.T) {
	now := metav1.Now()
	vm := seen(false, is(ConditionRunning, unknown, ReasonStopping))
	vm.DeletionTimestamp = &now
	asked := vm.Expectation()
	if done, err := asked.Running(vm); done || err != nil {
		t.Errorf("stopping: done=%t err=%v", done, err)
	}
	vm.Status.Conditions = []metav1.Condition{is(ConditionRunning, no, ReasonStopped)}
	if done, err := asked.Running(vm); !done || err != nil {
		t.Errorf("stopped: done=%t err=%v", done, err)
	}
	if _, err := asked.Running(nil); !errors.Is(err, ErrDeleted) {
		t.Errorf("gone: %v", err)
	}
}

func TestFailure(t *testing.T) {
	for _, tc := range []struct {
		name      string
		vm        *LimaVM
		reason    string
		permanent bool
	}{
		{"none", seen(true, is(ConditionRunning, yes, ReasonStarted)), "", false},
		{"for good", seen(true, is(ConditionRunning, no, ReasonStartFailed)), ReasonStartFailed, true},
		{"for now", seen(true, is(ConditionRunning, unknown, ReasonStartFailed)), ReasonStartFailed, false},
		{"creation comes first", seen(true, is(ConditionCreated, unknown, ReasonCreateFailed), is(ConditionRunning, no, ReasonStartFailed)), ReasonCreateFailed, false},
		{"stop is late", seen(false, is(ConditionRunning, unknown, ReasonStopFailed)), ReasonStopFailed, false},
		{"removal failed", seen(false, is(ConditionCreated, unknown, ReasonRemoveFailed)), ReasonRemoveFailed, false},
		{"of an older generation", seen(true, older(is(ConditionRunning, no, ReasonStartFailed))), "", false},
		{"stopped is no failure", seen(false, is(ConditionRunning, no, ReasonStopped)), "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failure, permanent := tc.vm.Failure()
			if (failure == nil) != (tc.reason == "") || permanent != tc.permanent || failure != nil && failure.Reason != tc.reason {
				t.Errorf("%v, permanent %t", failure, permanent)
			}
		})
	}
}
