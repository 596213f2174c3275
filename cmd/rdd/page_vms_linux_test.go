package main

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// shownState is the state that the page shows for a VM, and since when.
type shownState struct {
	Name, Word string
	At         float64 // ms since 1970
}

// The time until a change of one of 50 VMs is in the list in Chromium.
func BenchmarkPageChange(b *testing.B) {
	fleet, seen := newShownVMs(b, 50)
	fleet.Benchmark(b, seen)
}

func TestTheListInTheBrowserFollowsEachVM(t *testing.T) {
	t.Parallel()
	fleet, seen := newShownVMs(t, 3)
	for _, names := range [][]string{{"vm-01"}, {"vm-00", "vm-01", "vm-02"}, {"vm-02"}} {
		if took := fleet.Toggle(seen, names...); took <= 0 {
			t.Errorf("%v: seen %s before it was requested", names, -took)
		}
	}
}

// newShownVMs creates VM objects that no controller acts on. seen waits until the list in Chromium shows each VM in its
// state, and returns the time of the last one, by the browser's clock.
func newShownVMs(tb testing.TB, count int) (fleet *desktoptest.FakeVMs, seen func(states map[string]string) time.Time) {
	tb.Helper()
	e := newBrowserEnv(tb)
	e.must(0, "svc", "create", "--controllers=-limavm")
	e.start()
	fleet = desktoptest.NewFakeVMs(tb, filepath.Join(e.shortDir(), "kube.config"), count)
	sights := e.watchPage()
	seen = func(states map[string]string) (last time.Time) {
		late := time.After(testenv.Timeout)
		for left := maps.Clone(states); len(left) > 0; {
			select {
			case s, open := <-sights:
				if !open {
					tb.Fatal("the browser has ended")
				}
				if left[s.Name] == s.Word {
					delete(left, s.Name)
					last = time.UnixMicro(int64(s.At * 1000))
				}
			case <-late:
				tb.Fatalf("never seen: %v", left)
			}
		}
		return last
	}
	seen(map[string]string{"vm-00": "Stopped"})
	return fleet, seen
}

// watchPage opens the page in Chromium until the end of the test, and returns a channel with all that the list of VMs
// shows.
func (e *testEnv) watchPage() <-chan shownState {
	e.t.Helper()
	address, end := e.dashboard(nil, "--no-open")
	cmd := exec.Command("node", "e2e/changes.mjs")
	cmd.Dir, cmd.Stderr = filepath.Join("..", "..", "frontend"), os.Stderr
	cmd.Env = append(os.Environ(), "RDD_URL="+address)
	in, err := cmd.StdinPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	sights, ended := make(chan shownState, 10000), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(sights)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s shownState
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				e.t.Errorf("%v: %s", err, lines.Bytes())
			}
			sights <- s
		}
	}()
	e.t.Cleanup(func() {
		_ = in.Close()
		<-ended
		if err := cmd.Wait(); err != nil {
			e.t.Error(err)
		}
		if code := end(os.Interrupt); code != 0 {
			e.t.Error("Ctrl-C: exit code", code)
		}
	})
	return sights
}

// The longest task of the page while its list of 500 VMs is scrolled.
func BenchmarkPageScroll(b *testing.B) {
	benchmarkScenario(b, "500 virtual machines scroll", `longest task (\d+) ms`, "longest-ms")
}

// Time until 1,000 containers are drawn, and until those that fit a search are.
func BenchmarkPageContainers(b *testing.B) {
	benchmarkScenario(b, "containers: 1,000 are shown", `shown in (\d+) ms .*, filtered in (\d+) ms`, "show-ms", "filter-ms")
}

// benchmarkScenario runs one browser test over the fake, and reports the numbers that the pattern finds in what it says.
func benchmarkScenario(b *testing.B, name, pattern string, units ...string) {
	b.Helper()
	needBrowser(b)
	for b.Loop() {
		cmd := exec.Command("node", "e2e/run.mjs", name)
		cmd.Dir = filepath.Join("..", "..", "frontend")
		said, err := cmd.CombinedOutput()
		numbers := regexp.MustCompile(pattern).FindSubmatch(said)
		if err != nil || numbers == nil {
			b.Fatalf("%v\n%s", err, said)
		}
		for i, unit := range units {
			value, _ := strconv.ParseFloat(string(numbers[i+1]), 64) // the pattern has only digits
			b.ReportMetric(value, unit)
		}
	}
	b.ReportMetric(0, "ns/op") // is meaningless here
}
