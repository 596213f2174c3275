//go:build linux

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

// systray is one to a process, so each test plays the tray in a process of its own: it gets Views on
// stdin, one JSON object a line, and says what happened on stdout. It ends with stdin.
const playing = "play-tray"

// word is what a player says.
type word struct {
	Clicked ID
	NoHost  bool
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == playing {
		if err := play(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func play(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	says := json.NewEncoder(out)
	say := func(w word) {
		mu.Lock()
		defer mu.Unlock()
		_ = says.Encode(w)
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
		Views: views, Clicked: func(id ID) { say(word{Clicked: id}) }, NoHost: func() { say(word{NoHost: true}) },
		Opened: func() {}, Patience: 200 * time.Millisecond,
	}
	err := d.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// player is a tray under test.
type player struct {
	*testing.T
	in    io.WriteCloser
	words chan word
	cmd   *exec.Cmd
	ended chan error
}

// newPlayer starts a tray on the bus at address.
func newPlayer(t *testing.T, address string) *player {
	t.Helper()
	p := &player{T: t, words: make(chan word, 10000), cmd: exec.Command(os.Args[0], playing), ended: make(chan error, 1)}
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
			var w word
			if json.Unmarshal(lines.Bytes(), &w) == nil {
				p.words <- w
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.in.Close()
		select {
		case <-p.ended:
		case <-time.After(testenv.Timeout):
			t.Error("the tray does not end")
			_ = p.cmd.Process.Kill()
		}
	})
	return p
}

func (p *player) show(v View) {
	p.Helper()
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		p.Fatal(err)
	}
}

// says waits for the next word.
func (p *player) says() word {
	p.Helper()
	select {
	case w := <-p.words:
		return w
	case <-time.After(testenv.Timeout):
		p.Fatal("the tray says nothing")
		return word{}
	}
}
