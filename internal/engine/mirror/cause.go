package mirror

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
)

// finding is what the guest says of an engine that doesn't answer.
type finding struct {
	words  string // sentences for people; empty when the guest knows no reason
	failed bool   // it has given up starting the engine
}

// into returns the state of an engine that doesn't answer. said is what the last attempt to connect said.
func (f finding) into(said string, attempts int) engine.State {
	s := engine.State{Problem: strings.TrimSpace(said + " " + f.words), Attempts: attempts}
	if f.failed {
		s.Failed = f.words
	}
	return s
}

// Bounds of the guest's answer.
const (
	inquireTimeout = 15 * time.Second
	maxAnswer      = 2 << 10 // bytes
)

// inquire asks the guest now and then, until ctx ends, why the engine doesn't answer. An attempt to connect may take long: systemd
// listens on docker's socket, and lets clients wait.
func (f *Follower[C, R]) inquire(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.Patience):
		}
		if _, err := f.Current(); err == nil {
			continue
		}
		target, _ := f.Link.Get()
		if target.Dial == nil {
			continue
		}
		said, err := ask(ctx, target.Dial, servicesScript(f.Name))
		if err != nil {
			f.Log.Debug("the guest does not say what the engine's services do", "err", err)
			continue
		}
		f.find(findingOf(said))
	}
}

// find keeps what the guest says, unless the engine has answered meanwhile.
func (f *Follower[C, R]) find(found finding) {
	f.mu.Lock()
	if f.reason == "" || found == (finding{}) && f.state.Answers { // it was lost a moment ago
		f.mu.Unlock()
		return
	}
	s := found.into(f.said, f.state.Attempts)
	same := f.state == s
	f.found, f.state = found, s
	f.mu.Unlock()
	if !same {
		f.Changed()
	}
}

// forget forgets why the engine didn't answer.
func (f *Follower[C, R]) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said, f.found = "", finding{}
}

// ask returns what a command in the guest prints.
func ask(ctx context.Context, dial engine.Dial, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, inquireTimeout)
	defer cancel()
	conn, err := dial(ctx, "exec", command)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	said, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	return string(said), err
}

// services are those of the guest that an engine needs, in the order of their start.
var services = map[string][]string{
	engine.Moby:       {"rdd-data", "containerd", "docker"},
	engine.Containerd: {"rdd-data", "containerd"},
}

// servicesScript prints, of the first service that does not run, its name, whether it is masked, its state, how often it was
// restarted, and the state of the whole system, and then the last line that its own program has logged.
func servicesScript(name string) string {
	return "for u in " + strings.Join(services[name], " ") + "; do s=$(systemctl show --value -p LoadState -p SubState -p NRestarts $u | xargs); " +
		`case " $s " in *" running "*|*" exited "*) continue;; esac; echo "$u $s" $(systemctl is-system-running); ` +
		"sudo -n journalctl -b -q -o cat -n 1 --no-pager _SYSTEMD_UNIT=$u.service; exit; done"
}

// findingOf reads what servicesScript has printed.
func findingOf(said string) finding {
	head, log, _ := strings.Cut(strings.TrimSpace(said), "\n")
	service, states, _ := strings.Cut(head, " ")
	is := func(word string) bool { return strings.Contains(" "+states+" ", " "+word+" ") }
	var found finding
	switch {
	case states == "":
		return finding{}
	case is("masked"):
		return finding{words: fmt.Sprintf("In the virtual machine, the service %s is masked, so it can't start; unmask it there with: sudo systemctl unmask %[1]s.", service), failed: true}
	case is("failed") && (is("starting") || is("initializing")): // the guest starts it early, and again with the rest of the system
		found.words = fmt.Sprintf("In the virtual machine, the service %s could not start. It is tried again at the end of the boot.", service)
	case is("failed"):
		found = finding{words: fmt.Sprintf("In the virtual machine, the service %s could not start, and nothing tries it again.", service), failed: true}
	case is("0") && !is("auto-restart"): // it starts for the first time
		return finding{}
	default:
		found.words = fmt.Sprintf("In the virtual machine, the service %s ends again and again.", service)
	}
	if log = strings.Join(strings.Fields(strings.ToValidUTF8(log, "?")), " "); log != "" {
		found.words += " It said last: " + strings.TrimSuffix(log, ".") + "."
	}
	return found
}
