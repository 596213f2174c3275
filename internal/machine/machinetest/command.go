package machinetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// pollInterval is how often a process checks a file or a lock for which it waits.
const pollInterval = 5 * time.Millisecond

// run is one run of the fake rdd-lima.
type run struct {
	fake Fake
	vm   layout.VM
	w    *event.Writer

	args  []string // after the VM's name
	nonce string
	lock  string // that this process inherits
	kill  bool

	keepData bool
}

// accelerator is the accelerator of every fake VM.
var accelerator = event.Accelerator{Name: "tcg", Reason: event.HardwareHangs, Message: "pretended"}

func (p *run) main(args []string) int {
	p.w = event.NewWriter(os.Stdout)
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: rdd-lima COMMAND")
		return 2
	}
	command := args[0]
	p.parse(args)
	p.fake.count(command)
	if command == "qemu" { // its setting has other values
		return p.qemu()
	}
	if code, over := p.fault(command); over {
		return code
	}
	switch command {
	case "template":
		return p.template()
	case "ssh":
		return p.ssh()
	case "hostagent":
		return p.hostagent()
	}
	work, ok := map[string]func() error{
		"validate": p.validate, "prepare": p.prepare, "clear": p.clear, "remove": p.remove,
		"probe": func() error { return nil },
	}[command]
	if !ok {
		fmt.Fprintf(os.Stderr, "rdd-lima: unknown command %q\n", command)
		return 2
	}
	if err := work(); err != nil {
		return p.failed(err)
	}
	p.report(event.Event{OK: true})
	return 0
}

func (p *run) parse(args []string) {
	fs := flag.NewFlagSet(args[0], flag.ExitOnError)
	fs.StringVar(&p.vm.Home, "lima-home", "", "")
	fs.StringVar(&p.vm.Logs, "log-dir", "", "")
	fs.StringVar(&p.nonce, "nonce", "", "")
	fs.StringVar(&p.lock, "lock", "", "")
	fs.BoolVar(&p.kill, "kill", false, "")
	fs.BoolVar(&p.keepData, "keep-data", false, "")
	fs.Bool("keep-images", false, "")
	for _, unused := range []string{"share", "acceleration", "shell", "workdir", "patience"} {
		fs.String(unused, "", "")
	}
	_ = fs.Parse(args[1:]) // ExitOnError
	if p.args = fs.Args(); len(p.args) > 0 {
		p.vm.Name, p.args = p.args[0], p.args[1:]
	}
}

// fault does what the command's own setting says. over reports whether the command ends with that.
func (p *run) fault(command string) (code int, over bool) {
	switch mode := p.fake.mode(command, p.vm.Name); mode {
	case "die":
		fmt.Fprintln(os.Stderr, "the sky fell")
		return 7, true
	case "garbage":
		fmt.Println("what is this?\n{]")
		return 0, true
	case "fail", "permanent":
		p.report(event.Event{Failure: &event.Failure{Field: "disk", Message: "disk: no", Permanent: mode == "permanent"}})
		return 1, true
	case "hang":
		interrupted := interrupts()
		p.report(event.Event{Phase: event.Image, Step: 1, Steps: 2, Bytes: 5, Total: 10})
		<-interrupted
		p.fake.count("interrupted")
		return 1, true
	case "deaf":
		signal.Ignore(os.Interrupt)
		p.report(event.Event{Phase: event.Image, Step: 1, Steps: 2})
		p.await(func() bool { return false })
	}
	return 0, false
}

// failed reports why a command has failed.
func (p *run) failed(err error) int {
	failure := &event.Failure{Message: err.Error()}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		failure.Field, failure.Permanent = refused.field, true
	}
	p.report(event.Event{Failure: failure})
	return 1
}

// report writes an event. When the reader has gone, this process ends, by SIGPIPE or here.
func (p *run) report(e event.Event) {
	if err := p.w.Write(e); err != nil {
		os.Exit(3)
	}
}

// await waits until ok returns true.
func (p *run) await(ok func() bool) {
	for !ok() {
		p.exitIfRemoved()
		time.Sleep(pollInterval)
	}
}

// exitIfRemoved ends this process when the directory of its Fake was removed, because the test has ended.
func (p *run) exitIfRemoved() {
	if _, err := os.Stat(p.fake.Dir); err != nil {
		os.Exit(4)
	}
}

// takeTime takes the time of the setting, or until it is interrupted, and reports progress meanwhile.
func (p *run) takeTime(setting, phase string, step int32) error {
	d, err := time.ParseDuration(p.fake.mode(setting, p.vm.Name))
	if err != nil {
		return nil //nolint:nilerr // the setting is a word, or does not exist
	}
	interrupted := interrupts()
	began := time.Now()
	for done := false; !done; {
		p.report(event.Event{Phase: phase, Step: step, Steps: 4, Bytes: int64(time.Since(began)), Total: int64(d)})
		select {
		case <-interrupted:
			return errors.New("interrupted")
		case <-time.After(min(d, 10*time.Millisecond)):
			done = time.Since(began) >= d
		}
	}
	return nil
}

func interrupts() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	return c
}

// refusedError is what Lima rejects in a template.
type refusedError struct{ field, message string }

func (e *refusedError) Error() string { return e.field + ": " + e.message }

// validate rejects a template with a line "refused: FIELD", and a param with the value "refused".
func (p *run) validate() error {
	job, err := event.ReadJob(os.Stdin)
	if err != nil {
		return err
	}
	for line := range strings.Lines(job.Template) {
		if field, ok := strings.CutPrefix(strings.TrimSpace(line), "refused: "); ok {
			return &refusedError{field, "the template says that it is to be refused"}
		}
	}
	for name, value := range job.Params {
		if value == "refused" {
			return &refusedError{"param." + name, "the test refuses this value"}
		}
	}
	if p.fake.mode("validate", p.vm.Name) == "late" && p.fake.Counted("validate") > 1 {
		p.await(func() bool { return p.fake.has("validated", p.vm.Name) })
	}
	return p.takeTime("validate", event.Check, 1)
}

// template prints a file.
func (p *run) template() int {
	b, err := os.ReadFile(p.vm.Name) // the locator
	if err != nil {
		fmt.Fprintln(os.Stderr, "rdd-lima:", err)
		return 1
	}
	if _, err := os.Stdout.Write(b); err != nil {
		return 1
	}
	return 0
}

// Disk returns the file that stands for the disk of a fake VM. Each event of the disk is a line in it: made, then on and off for
// each run of its QEMU.
func Disk(vm layout.VM) string { return filepath.Join(vm.Dir(), "disk") }

// prepare creates the directory, the file Making, the disk and then the file Prepared, as the real command does.
func (p *run) prepare() error {
	job, err := event.ReadJob(os.Stdin)
	if err != nil {
		return err
	}
	lock, err := p.lockDisk()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	p.report(event.Event{Phase: event.Check, Step: 1, Steps: 4})
	made := layout.Exists(p.vm.Prepared()) && !layout.Exists(p.vm.Removing())
	if !made && p.vm.Unfinished() {
		err = p.markRemoving()
		if err == nil {
			err = p.removeDir()
		}
	}
	if err == nil && !made {
		err = p.claim()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(p.vm.Dir(), "lima.yaml"), []byte(job.Template), 0o600)
	}
	if err == nil {
		var given []byte
		if given, err = job.Bytes(); err == nil {
			err = os.WriteFile(p.vm.Job(), given, 0o600)
		}
	}
	if err == nil {
		err = p.takeTime("prepare", event.Image, 2)
	}
	if err != nil || made {
		return err
	}
	if err := appendLine(Disk(p.vm), "made"); err != nil {
		return err
	}
	if job.DataDisk > 0 && !p.vm.HasData() {
		if err := p.makeData(); err != nil {
			return err
		}
	}
	p.report(event.Event{Phase: event.Disk, Step: 3, Steps: 4})
	return errors.Join(os.WriteFile(p.vm.Prepared(), nil, 0o600), os.Remove(p.vm.Making()))
}

// makeData makes a data disk. It has no content.
func (p *run) makeData() error {
	if err := os.MkdirAll(filepath.Dir(p.vm.DataDisk()), 0o700); err != nil {
		return err
	}
	return os.WriteFile(p.vm.DataDisk(), nil, 0o600)
}

// claim creates the directory with the file Making, unless something else is in it.
func (p *run) claim() error {
	names, err := p.vm.Contents()
	if err == nil && len(names) > 0 {
		err = &refusedError{"", fmt.Sprintf("the folder %s holds %s", p.vm.Dir(), strings.Join(names, ", "))}
	}
	if err == nil {
		err = os.MkdirAll(p.vm.Dir(), 0o700)
	}
	if err == nil {
		err = os.WriteFile(p.vm.Making(), nil, 0o600)
	}
	return err
}

// remove marks the directory and then removes it.
func (p *run) remove() error {
	lock, err := p.lockDisk()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if held, err := proc.Held(p.vm.QEMULock()); held || err != nil {
		return errors.Join(err, errors.New("it still has a QEMU"))
	}
	if layout.Exists(p.vm.Dir()) {
		if err := p.markRemoving(); err != nil {
			return err
		}
	}
	if p.fake.mode("remove", p.vm.Name) == "marked" {
		return errors.New("the disk can't be removed")
	}
	if err := p.takeTime("remove", event.Disk, 1); err != nil {
		return err
	}
	if !p.keepData {
		if err := os.RemoveAll(p.vm.DataDisk()); err != nil {
			return err
		}
	}
	return p.removeDir()
}

// markRemoving marks the directory as the real command does: a file that says that the VM is whole becomes the mark.
func (p *run) markRemoving() error {
	err := os.Rename(p.vm.Prepared(), p.vm.Removing())
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(p.vm.Removing(), nil, 0o600)
	}
	return err
}

// removeDir removes the directory, and its mark last, as the real command does. So what a kill leaves is still marked.
func (p *run) removeDir() error {
	names, err := p.vm.Contents()
	if err != nil {
		return err
	}
	for _, name := range names {
		if path := filepath.Join(p.vm.Dir(), name); path != p.vm.Removing() {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(p.vm.Dir())
}

// ssh runs a command, or a shell, in the VM's directory, which stands for the guest.
func (p *run) ssh() int {
	if held, err := proc.Held(p.vm.HostagentLock()); !held || err != nil || len(p.args) == 0 {
		fmt.Fprintln(os.Stderr, "rdd-lima: the VM does not run", err)
		return 255
	}
	words := p.args
	if words[0] == "--" {
		words = words[1:]
	}
	cmd := exec.Command("sh", "-c", strings.Join(words, " "))
	if len(words) == 0 {
		cmd = exec.Command("sh")
	}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.vm.Dir(), os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "rdd-lima:", err)
		return 255
	}
	return cmd.ProcessState.ExitCode()
}

// lockDisk takes the disk's lock.
func (p *run) lockDisk() (*proc.Lock, error) {
	if err := os.MkdirAll(p.vm.Run(), 0o700); err != nil {
		return nil, err
	}
	lock, err := p.vm.LockDisk(context.Background())
	if errors.Is(err, proc.ErrLocked) {
		err = fmt.Errorf("VM %q is in use: %w", p.vm.Name, err)
	}
	return lock, err
}

// appendLine appends a line to a file and syncs it.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
