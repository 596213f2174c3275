package tray

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

// A process can have only one systray, so each test runs the display in a process of its own. It reads Views from stdin,
// one JSON object a line, and writes events to stdout. It ends with stdin.
const displayArg = "run-display"

// event is a call of Clicked or NoHost.
type event struct {
	Clicked ID
	NoHost  bool
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == displayArg {
		if err := runDisplay(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runDisplay(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	events := json.NewEncoder(out)
	report := func(e event) {
		mu.Lock()
		defer mu.Unlock()
		_ = events.Encode(e)
	}
	views := make(chan View)
	go func() {
		defer cancel()
		for dec := json.NewDecoder(in); ; {
			var v View
			if dec.Decode(&v) != nil {
				return
			}
			views <- v
		}
	}()
	d := &Display{
		Views: views, Clicked: func(id ID) { report(event{Clicked: id}) }, NoHost: func() { report(event{NoHost: true}) },
		Opened: func() {}, Patience: 200 * time.Millisecond,
	}
	err := d.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// trayProcess is a display under test.
type trayProcess struct {
	*testing.T
	in     io.WriteCloser
	events chan event
	cmd    *exec.Cmd
	ended  chan error
}

// newTray starts a tray on the bus at address.
func newTray(t *testing.T, address string) *trayProcess {
	t.Helper()
	p := &trayProcess{T: t, events: make(chan event, 10000), cmd: exec.Command(os.Args[0], displayArg), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+address)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				p.events <- e
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.in.Close()
		select {
		case <-p.ended:
		case <-time.After(testenv.Timeout):
			t.Error("the tray does not exit")
			_ = p.cmd.Process.Kill()
		}
	})
	return p
}

func (p *trayProcess) show(v View) {
	p.Helper()
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		p.Fatal(err)
	}
}

// click waits for the next click. On a busy machine the panel may be late, which is another event.
func (p *trayProcess) click() ID {
	p.Helper()
	e := p.event()
	for e.NoHost {
		e = p.event()
	}
	return e.Clicked
}

// event waits for the next event.
func (p *trayProcess) event() event {
	p.Helper()
	select {
	case e := <-p.events:
		return e
	case <-time.After(testenv.Timeout):
		p.Fatal("there is no event of the tray")
		return event{}
	}
}
