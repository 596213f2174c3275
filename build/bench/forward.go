package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	appv1alpha1 "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	limaevent "rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// atOnce is how many docker commands run at the same time.
const atOnce = 50

// measureForward runs docker over RDD's socket and over ssh -O forward alternately, in the same guest.
func (b *bench) measureForward(ctx context.Context) error {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return fmt.Errorf("%w: install Debian's docker-cli", err)
	}
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	b.logf("forward: booting the App's VM")
	if _, err := s.timed(ctx, "start", "--timeout", vmTimeout); err != nil {
		return err
	}
	home, err := s.path(ctx, "lima")
	if err != nil {
		return err
	}
	vm := layout.VM{Home: home, Name: appv1alpha1.VM}
	ways := []struct{ suffix, socket string }{{"", s.dockerSocket()}, {"-ssh", filepath.Join(vm.Dir(), "sock", "docker.sock")}}
	for _, figure := range []struct {
		key  string
		n    int
		runs int
	}{{"forward.ps", 1, 4*b.runs + 1}, {"forward.fifty", atOnce, b.runs + 1}} {
		b.logf("forward: docker ps, %d at once", figure.n)
		for run := range figure.runs {
			var took [2]float64
			for i, way := range ways {
				if took[i], err = b.docker(ctx, s, docker, way.socket, figure.n); err != nil {
					return err
				}
			}
			if run == 0 {
				continue // the first starts dockerd
			}
			for i, way := range ways {
				b.add(figure.key+way.suffix, took[i])
			}
			b.add(figure.key+"-ratio", took[0]/took[1])
		}
	}
	if b.wants("forward.port", "forward.port-lima", "forward.port-ratio") {
		if err := b.measurePort(ctx, s, vm.Name); err != nil {
			return err
		}
	}
	return b.remove(ctx, s)
}

// docker runs docker ps n times at once, and returns how many milliseconds that took.
func (b *bench) docker(ctx context.Context, s *service, docker, socket string, n int) (float64, error) {
	env := map[string]string{"HOME": s.home, "DOCKER_HOST": "unix://" + socket}
	began := time.Now()
	err := each(make([]struct{}, n), func(struct{}) error {
		_, _, err := measure(ctx, b.peak, env, docker, "ps")
		return err
	})
	return float64(time.Since(began).Microseconds()) / 1000, err
}

const (
	ourPort, limaPort = "18080", "18081"
	portBytes         = 64 << 20
)

// measurePort downloads through a forwarded port of our guest, and alternately through one that Lima forwards, of the same
// guest in a VM that limactl has started.
func (b *bench) measurePort(ctx context.Context, s *service, name string) (err error) {
	home, err := os.MkdirTemp("", "rl") // not in b.dir, which another user can't enter
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	b.logf("forward: building limactl, and booting our guest with it")
	lima, err := b.newLima(ctx, home)
	if err != nil {
		return err
	}
	if err := b.checkAcceleration(ctx, s, name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.output(lima(context.WithoutCancel(ctx), "delete", "--force", name))) }()
	if err := b.output(lima(ctx, "start", "--tty=false", "--timeout", vmTimeout, "--name", name, b.guestTemplate())); err != nil {
		return err
	}
	ours := exec.CommandContext(ctx, b.rdd, "--instance", s.name, "vm", "shell", name, "sh", "-c", pourIn(ourPort))
	ours.Env = userEnv(ours.Environ(), map[string]string{"HOME": s.home})
	if err := b.startPour(ctx, ours, lima(ctx, "shell", "--workdir", "/", name, "sh", "-c", pourIn(limaPort))); err != nil {
		return err
	}
	return b.measureDownloads(ctx)
}

// newLima builds limactl in a directory, which becomes its home, and returns what makes commands of it. An ordinary user runs
// them, with the acceleration that our own VMs have.
func (b *bench) newLima(ctx context.Context, home string) (func(context.Context, ...string) *exec.Cmd, error) {
	limactl, err := b.buildLimactl(ctx, filepath.Join(home, "p"))
	if err != nil {
		return nil, fmt.Errorf("build limactl: %w", err)
	}
	user, err := ordinaryUser(home)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"LIMA_HOME": filepath.Join(home, "l"), "HOME": home}
	if arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]; strings.HasPrefix(b.guests, emulation) {
		flags := qemu.AccelerationFlags(arch, "", limaevent.Accelerator{}) // limactl itself takes KVM where it hangs
		env["QEMU_SYSTEM_"+strings.ToUpper(arch)] = strings.Join(append([]string{"qemu-system-" + arch}, flags...), " ")
	}
	return func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, limactl, args...)
		cmd.Env = userEnv(cmd.Environ(), env)
		cmd.Dir = home
		isolate(cmd)
		user(cmd)
		return cmd
	}, nil
}

// startPour builds the program pour, and gives it as input to commands that start it in guests.
func (b *bench) startPour(ctx context.Context, starts ...*exec.Cmd) error {
	pour := filepath.Join(b.dir, "pour")
	if _, err := goCommand(ctx, "build", "-ldflags", "-s -w", "-o", pour, module+"build/bench/pour"); err != nil {
		return err
	}
	for _, cmd := range starts {
		file, err := os.Open(pour)
		if err != nil {
			return err
		}
		cmd.Stdin = file
		err = b.output(cmd)
		_ = file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// measureDownloads downloads alternately from the ports of pour in the two guests.
func (b *bench) measureDownloads(ctx context.Context) (err error) {
	ways := []struct{ key, port string }{{"forward.port", ourPort}, {"forward.port-lima", limaPort}}
	for run := range b.runs + 1 {
		b.logf("forward: downloads through a port, run %d of %d", run, b.runs)
		var took [2]float64
		for i, way := range ways {
			if took[i], err = download(ctx, "127.0.0.1:"+way.port); err != nil {
				return err
			}
		}
		if run == 0 {
			continue // the ports have just been seen
		}
		for i, way := range ways {
			b.add(way.key, took[i])
		}
		b.add("forward.port-ratio", took[0]/took[1])
	}
	return nil
}

// pourIn is a script for a guest, which gets the program pour as its input.
func pourIn(port string) string {
	return fmt.Sprintf("cat >/tmp/pour && chmod +x /tmp/pour && (setsid /tmp/pour %s %d </dev/null >/dev/null 2>&1 &)", port, portBytes)
}

// buildLimactl builds limactl from our Lima dependency into a directory, with its guest agent and templates. The packages that
// only limactl needs are not in our go.mod, so this uses a copy.
func (b *bench) buildLimactl(ctx context.Context, prefix string) (program string, err error) {
	root, err := goCommand(ctx, "env", "GOMOD")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(root), name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	program = filepath.Join(prefix, "bin", "limactl")
	if err := os.MkdirAll(filepath.Join(prefix, "share"), 0o755); err != nil {
		return "", err
	}
	if err := os.Symlink(filepath.Join(b.dist, "share", "lima"), filepath.Join(prefix, "share", "lima")); err != nil {
		return "", err
	}
	_, err = goCommand(ctx, "build", "-C", filepath.Dir(root), "-mod=mod", "-modfile", filepath.Join(b.dir, "go.mod"), "-tags", "grpcnotrace",
		"-o", program, "github.com/lima-vm/lima/cmd/limactl")
	return program, err
}

// output runs a command. The error has what it printed.
func (b *bench) output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// download reads portBytes from an address, and returns how many milliseconds that took. It waits until somebody listens there.
func download(ctx context.Context, address string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		began := time.Now()
		n, err := read(ctx, address)
		if n == portBytes {
			return milliseconds(time.Since(began)), nil
		}
		if pauseErr := pause(ctx, 200*time.Millisecond); pauseErr != nil {
			return 0, fmt.Errorf("%d bytes from %s, want %d: %w", n, address, portBytes, err)
		}
	}
}

func read(ctx context.Context, address string) (int64, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	return io.Copy(io.Discard, conn)
}
