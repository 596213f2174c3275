//go:build unix

package machine

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

func TestLogsAreRemovedWithTheVMUnlessTheyAreKept(t *testing.T) {
	for _, keep := range []bool{false, true} {
		dir := t.TempDir()
		vm := layout.VM{Home: filepath.Join(dir, "lima"), Name: "rd", Logs: filepath.Join(dir, "log", "rd")}
		program := filepath.Join(dir, "rdd-lima")
		files := map[string]string{
			program:       "#!/bin/sh\nrm -rf '" + vm.Dir() + "'\necho '{\"ok\":true}'\n",
			vm.Prepared(): "", vm.SerialLog(): "console", vm.HostagentLog(): "agent",
		}
		for path, text := range files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		changed := make(chan struct{}, 1000)
		m := New(Config{LimaHome: vm.Home, Program: program, LogDir: filepath.Dir(vm.Logs), KeepLogs: keep,
			Log: slog.New(slog.DiscardHandler), Changed: func(string) { changed <- struct{}{} }})
		defer m.Forget("rd")
		m.Do("rd", Request{Action: Remove})
		for m.State("rd").Phase != Absent {
			select {
			case <-changed:
			case <-time.After(timeout):
				t.Fatalf("not removed: %+v", m.State("rd"))
			}
		}
		agent, _ := os.ReadFile(vm.HostagentLog())
		console, _ := os.ReadFile(filepath.Join(vm.Logs, filepath.Base(vm.SerialLog())))
		if kept := string(agent) == "agent" && string(console) == "console"; kept != keep {
			t.Errorf("keep %t: %q, %q", keep, agent, console)
		}
		if _, err := os.Stat(vm.Logs); !keep && err == nil {
			t.Error("the directory of the logs is left")
		}
	}
}
