package hostagent

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// The ssh that Lima runs once the guest has powered off has no time limit: rdd stop waited for it.
func TestAStopDoesNotWaitForTheSSHOfAGuestThatIsGone(t *testing.T) {
	vm := limatest.NewVM(t)
	limatest.HoldHostagentLock(t, vm) // makes the folder of the locks
	lock, err := proc.Acquire(vm.QEMULock())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := &hostagent{vm: vm, w: event.NewWriter(io.Discard)}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var off atomic.Bool
		go h.powerOff(ctx, ended, func() {
			if !off.Load() {
				t.Error("Lima's children were ended while QEMU ran")
			}
			close(ended)
		})
		stop()
		time.Sleep(10 * closingTimeout) // the guest takes its time
		off.Store(true)
		since := time.Now()
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		<-ended
		if took := time.Since(since); took < closingTimeout || took > closingTimeout+2*time.Second {
			t.Errorf("Lima's children were ended after %s", took)
		}
	})
}
