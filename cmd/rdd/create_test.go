package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// When rdd is killed while it creates a VM, either the VM is created completely, or nothing of it exists.
func TestKilledCreateIsCompleteOrHasNoEffect(t *testing.T) {
	e := newWaitEnv(t)
	e.must(0, "svc start")
	r := rand.New(rand.NewPCG(1, 2))
	whole := 0
	for i := range 6 {
		name := fmt.Sprintf("vm%d", i)
		cmd, _ := e.command("vm create " + name + " ./good.yaml")
		cmd.Stderr = nil
		progress, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // before or after the request is accepted
			time.AfterFunc(time.Duration(r.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		_, _ = progress.Read(make([]byte, 1)) // progress means that the request was accepted; or rdd was killed
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		show, _ := e.command("vm show " + name)
		if show.Run() == nil {
			whole++
			e.must(0, "ctl wait-condition limavm/"+name+" Created")
			e.must(0, "vm delete "+name)
			e.must(0, "ctl wait --for=delete configmap/limavm-"+name+" -n rdd-system")
		}
		templates, _ := e.command("ctl get configmaps -n rdd-system -o name")
		if out, err := templates.Output(); err != nil || strings.Contains(string(out), "limavm-"+name) {
			t.Errorf("after a kill: %v\n%s", err, out)
		}
		e.must(0, "vm create "+name+" ./good.yaml --dry-run") // the name is free
	}
	if whole < 3 {
		t.Errorf("only %d were accepted", whole)
	}
}

// Of two creates with the same name at the same time, one succeeds and the other is rejected.
func TestTwoCreatesOfOneNameAtTheSameTime(t *testing.T) {
	e := newWaitEnv(t)
	e.must(0, "svc start")
	for i := range 5 {
		codes := make(chan int)
		for range 2 {
			cmd, _ := e.command(fmt.Sprintf("vm create twin%d ./good.yaml --wait=false", i))
			go func() { codes <- exitCode(cmd.Run()) }()
		}
		if a, b := <-codes, <-codes; a+b != 3 || a*b != 0 {
			t.Errorf("exit codes %d and %d, want 0 and 3", a, b)
		}
	}
}
