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
)

// sight is a word that the page shows for a VM, and since when.
type sight struct {
	Name, Word string
	At         float64 // ms since 1970
}

// How soon a change of VMs, of 50, is in the list that Chromium shows.
func BenchmarkPageChange(b *testing.B) {
	fleet, seen := newFleet(b, 50)
	fleet.Report(b, seen)
}

func TestTheListInTheBrowserFollowsEachVM(t *testing.T) {
	t.Parallel()
	fleet, seen := newFleet(t, 3)
	for _, names := range [][]string{{"vm-01"}, {"vm-00", "vm-01", "vm-02"}, {"vm-02"}} {
		if took := fleet.Turn(seen, names...); took <= 0 {
			t.Errorf("%v: seen %s before it was asked for", names, -took)
		}
	}
}

// newFleet makes VMs that nobody runs. seen waits until the list that Chromium shows has each VM in its state, and
// says since when, by the browser's clock.
func newFleet(tb testing.TB, count int) (fleet *desktoptest.Fleet, seen func(states map[string]string) time.Time) {
	tb.Helper()
	box := newBrowserBox(tb)
	box.must(0, "svc", "create", "--controllers=-limavm")
	box.start()
	fleet = desktoptest.NewFleet(tb, filepath.Join(box.short(), "kube.config"), count)
	sights := box.look()
	seen = func(states map[string]string) (last time.Time) {
		late := time.After(hang)
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

// look opens the page in Chromium, to the end of the benchmark, and tells what the list of VMs shows.
func (b *box) look() <-chan sight {
	b.t.Helper()
	address, interrupt := b.dashboard(nil, "--no-open")
	cmd := exec.Command("node", "e2e/changes.mjs")
	cmd.Dir, cmd.Stderr = filepath.Join("..", "..", "frontend"), os.Stderr
	cmd.Env = append(os.Environ(), "RDD_URL="+address)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	sights, ended := make(chan sight, 10000), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(sights)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s sight
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				b.t.Errorf("%v: %s", err, lines.Bytes())
			}
			sights <- s
		}
	}()
	b.t.Cleanup(func() {
		_ = in.Close()
		<-ended
		if err := cmd.Wait(); err != nil {
			b.t.Error(err)
		}
		if code := interrupt(); code != 0 {
			b.t.Error("Ctrl-C: exit code", code)
		}
	})
	return sights
}

// How long the page is busy at a stretch while its list of 500 VMs is scrolled.
func BenchmarkPageScroll(b *testing.B) {
	needBrowser(b)
	for b.Loop() {
		cmd := exec.Command("node", "e2e/run.mjs", "500 virtual machines scroll")
		cmd.Dir = filepath.Join("..", "..", "frontend")
		said, err := cmd.CombinedOutput()
		longest := regexp.MustCompile(`longest task (\d+) ms`).FindSubmatch(said)
		if err != nil || longest == nil {
			b.Fatalf("%v\n%s", err, said)
		}
		ms, _ := strconv.ParseFloat(string(longest[1]), 64) // they are digits
		b.ReportMetric(ms, "longest-ms")
	}
	b.ReportMetric(0, "ns/op") // says nothing
}
