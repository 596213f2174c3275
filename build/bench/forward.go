package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// atOnce is how many docker commands run at the same time.
const atOnce = 50

// measureForward runs docker over the VM's forward socket and over ssh -O forward alternately, in the same guest.
func (b *bench) measureForward(ctx context.Context) error {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return fmt.Errorf("%w: install Debian's docker-cli", err)
	}
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	const name = "guest"
	b.logf("forward: booting our guest")
	if _, err := s.timed(ctx, "vm", "create", name, b.guestTemplate(), "--start", "--timeout", vmTimeout); err != nil {
		return err
	}
	home, err := s.path(ctx, "lima")
	if err != nil {
		return err
	}
	vm := layout.VM{Home: home, Name: name}
	ours := filepath.Join(b.dir, "d.sock")
	listener, err := net.Listen("unix", ours)
	if err != nil {
		return err
	}
	defer listener.Close()
	go proxy(ctx, listener, vm)
	ways := []struct{ suffix, socket string }{{"", ours}, {"-ssh", filepath.Join(vm.Dir(), "sock", "docker.sock")}}
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

// proxy connects each client to the engine in the guest, as the service's socket does.
func proxy(ctx context.Context, listener net.Listener, vm layout.VM) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			engine, err := forward.Dial(ctx, vm, "unix", "/run/docker.sock")
			if err != nil {
				_ = client.Close() // docker says that there is no answer
				return
			}
			forward.Join(client.(forward.Conn), engine)
		}()
	}
}
