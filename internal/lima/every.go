package lima

import (
	"sync"
	"time"
)

// Every calls do at intervals, beside the caller, until stop is called. Then do doesn't run any more.
func Every(interval time.Duration, do func()) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				do()
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}
