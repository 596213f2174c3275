package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// prober finds out whether hardware acceleration works by running a test guest: that the device can be opened proves
// little.
type prober struct {
	exe     string // QEMU
	arch    limayaml.Arch
	cache   string
	timeout time.Duration
}

// cached is the result of a probe, with a key that says which host boot and QEMU it is for.
type cached struct {
	Key         string            `json:"key"`
	Accelerator event.Accelerator `json:"accelerator"`
}

// runGuestCached runs a guest once for each boot of the host and each QEMU.
func (p *prober) runGuestCached(ctx context.Context) (event.Accelerator, error) {
	key := p.key()
	var c cached
	if atomicfile.ReadJSON(p.cache, &c) == nil && c.Key == key {
		return c.Accelerator, nil
	}
	acc, err := p.runGuest(ctx)
	if err != nil {
		return acc, err
	}
	_ = atomicfile.WriteJSON(p.cache, cached{key, acc}) // without it the next boot asks again
	return acc, nil
}

// key changes when the host boots or its QEMU changes.
func (p *prober) key() string {
	parts := []string{bootID(), p.exe, p.timeout.String()}
	if info, err := os.Stat(p.exe); err == nil {
		parts = append(parts, info.ModTime().UTC().String(), fmt.Sprint(info.Size()))
	}
	return strings.Join(parts, " ")
}

// probeExitTimeout is how long a probe may take to end once its time is over.
const probeExitTimeout = time.Second

// runGuest runs a loop in a guest.
func (p *prober) runGuest(ctx context.Context) (event.Accelerator, error) {
	name, title := accelerator()
	// The test guest is written beside the result. It is always the same, so it may stay there.
	rom := filepath.Join(filepath.Dir(p.cache), "probe-"+p.arch+".rom")
	if err := os.MkdirAll(filepath.Dir(rom), 0o700); err != nil {
		return event.Accelerator{}, err
	}
	if err := atomicfile.Write(rom, romFor(p.arch)); err != nil {
		return event.Accelerator{}, err
	}
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd, err := guarded(p.exe, probeArgs(p.arch, name, rom)...)
	if err != nil {
		return event.Accelerator{}, err
	}
	cmd.Stderr = &stderr
	tree, err := proc.Start(limited, cmd, probeExitTimeout)
	if err == nil {
		err = tree.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return event.Accelerator{}, context.Cause(ctx)
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == romExit(p.arch):
		return event.Accelerator{Name: name, Hardware: true, Reason: event.HardwareWorks, Message: "a test guest ran under " + title}, nil
	case limited.Err() != nil:
		return emulated(event.HardwareHangs, fmt.Sprintf("%s is there, but a test guest did not finish within %s under it, so VMs are emulated, several times slower.", title, p.timeout)), nil
	}
	return emulated(event.HardwareBroken, fmt.Sprintf("%s is there, but a test guest fails under it (%s), so VMs are emulated, several times slower.", title, cause(err, stderr.String()))), nil
}

// cause returns the last line that QEMU wrote, or else how it ended.
func cause(err error, stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	if err == nil {
		err = errors.New("it ended too early")
	}
	return err.Error()
}

// probeArgs run a ROM with the processor that Lima would use.
func probeArgs(arch limayaml.Arch, accel, rom string) []string {
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-m", "64", "-bios", rom}
	if arch == limayaml.X8664 {
		cpu := "host"
		if accel == "whpx" {
			cpu = "qemu64" // as Lima does there
		}
		return append(args, "-machine", "q35,accel="+accel, "-cpu", cpu, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
	}
	return append(args, "-machine", "virt,accel="+accel, "-cpu", "host")
}
