package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/testenv"
)

// storm IMAGE [kills] creates containers, starts, kills and removes them, four at a time. One second after the end, the live
// view must be what docker ps -a says. With kills, the engine, the SSH connection, the hostagent, the service and QEMU are
// killed meanwhile, one after the other. What fails then doesn't count.
func storm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: storm IMAGE [kills]")
	}
	s := &stormer{ts: ts, image: args[0], env: append(os.Environ(), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"), "RDD_LIBEXEC="+ts.Getenv("RDD_LIBEXEC")), rdd: ts.Getenv("DIST") + "/bin/rdd"}
	s.vm = layout.VM{Home: filepath.Join(ts.Getenv("HOME"), ".rdd", "default", "lima"), Name: core.AppVM}
	size := stormSize
	if text := os.Getenv("RDD_STORM"); text != "" {
		var err error
		size, err = strconv.Atoi(text)
		ts.Check(err)
	}
	var kills []func()
	if len(args) == 2 {
		kills = []func(){s.killEngine, s.killSSH, s.killHostagent, s.killService, s.killQEMU}
	}
	work := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for n := range work {
				s.container(n)
			}
		})
	}
	for n := range size {
		work <- n
		if i := (n + 1) * (len(kills) + 1) / size; n+1 == i*size/(len(kills)+1) && 0 < i && i <= len(kills) {
			kills[i-1]()
		}
	}
	close(work)
	workers.Wait()
	if len(kills) > 0 {
		s.must(s.run(s.rdd, "start", "--timeout", "15m"))
		s.container(2) // all that was lost has come back
	}
	time.Sleep(time.Second)
	asked, shown := s.asked(), s.shown()
	if !slices.Equal(asked, shown) || len(asked) < size/2 {
		ts.Fatalf("docker ps -a:\n%s\n\nthe view:\n%s", strings.Join(asked, "\n"), strings.Join(shown, "\n"))
	}
	ts.Logf("%d containers are left of %d", len(asked), size)
}

// stormSize is how many containers a storm has.
const stormSize = 10

// stormer runs the commands of a storm.
type stormer struct {
	ts    *testscript.TestScript
	image string
	env   []string
	rdd   string
	vm    layout.VM
}

func (s *stormer) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// container does with a container what its number says.
func (s *stormer) container(n int) {
	name := fmt.Sprint("storm-", n)
	_, _ = s.run("docker", "rm", "-f", name)
	_, _ = s.run("docker", "run", "-d", "--name", name, s.image, "wait")
	switch n % 5 {
	case 1:
		_, _ = s.run("docker", "pause", name)
	case 2:
		_, _ = s.run("docker", "rm", "-f", name)
	case 3:
		_, _ = s.run("docker", "kill", name)
	case 4:
		_, _ = s.run("docker", "restart", "-t", "1", name)
	}
}

func (s *stormer) killEngine() {
	s.must(s.run(s.rdd, "shell", "--", "sudo", "pkill", "-KILL", "-x", "dockerd"))
}

// killSSH ends the connections of the hostagent in the guest. The command's own ends with them.
func (s *stormer) killSSH() {
	_, _ = s.run(s.rdd, "shell", "--", "sudo", "pkill", "-KILL", "sshd-session")
}

func (s *stormer) killService() {
	out, err := s.run(s.rdd, "svc", "status", "-o", "json")
	var status core.ServiceStatus
	if err == nil {
		err = json.Unmarshal([]byte(out), &status)
	}
	if err == nil {
		err = kill(status.PID)
	}
	s.must(out, err)
	s.must(s.run(s.rdd, "svc", "start"))
}

func (s *stormer) killHostagent() {
	s.killWhenKnown("the hostagent", func() (int, error) {
		record, err := s.vm.ReadRecord()
		return record.PID, err
	})
}

func (s *stormer) killQEMU() {
	s.killWhenKnown("QEMU", func() (int, error) {
		text, err := os.ReadFile(filepath.Join(s.vm.Dir(), "qemu.pid"))
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(text)))
	})
}

// killWhenKnown kills a process, which may be starting.
func (s *stormer) killWhenKnown(what string, find func() (pid int, err error)) {
	if !testenv.Within(func() bool {
		pid, err := find()
		return err == nil && pid > 0 && kill(pid) == nil
	}) {
		s.ts.Fatalf("%s does not run", what)
	}
}

// kill ends a process at once.
func kill(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Kill()
}

func (s *stormer) must(out string, err error) {
	if err != nil {
		s.ts.Fatalf("%v\n%s", err, out)
	}
}

// asked returns the containers that docker lists, as ID, name and state.
func (s *stormer) asked() []string {
	out, err := s.run("docker", "ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
	s.must(out, err)
	return slices.Sorted(strings.SplitSeq(strings.TrimSpace(out), "\n"))
}

// shown returns those of the view in the same way.
func (s *stormer) shown() []string {
	out, err := s.run(s.rdd, "ctl", "get", "containers", "-o", `jsonpath={range .items[*]}{.status.id} {.status.name} {.status.state}{"\n"}{end}`)
	s.must(out, err)
	return slices.Sorted(strings.SplitSeq(strings.TrimSpace(out), "\n"))
}
