package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	appContainers = 30  // that run while the service is watched
	appEvents     = 200 // containers that are created while two clients watch
)

// stockDocker is what Lima's template docker-rootful adds to an image, without the installation: the stock guest has Docker.
const stockDocker = `
provision:
- mode: system
  script: |
    #!/bin/bash
    set -eux -o pipefail
    mkdir -p /etc/systemd/system/docker.socket.d
    printf '[Socket]\nSocketUser={{.User}}\n' >/etc/systemd/system/docker.socket.d/user.conf
    systemctl daemon-reload
    systemctl enable --now docker
probes:
- script: |
    #!/bin/bash
    set -eux -o pipefail
    if ! timeout 30s bash -c "until pgrep dockerd; do sleep 3; done"; then
      echo >&2 "dockerd is not running"
      exit 1
    fi
portForwards:
- guestSocket: /var/run/docker.sock
  hostSocket: "{{.Dir}}/sock/docker.sock"
`

// measureApp measures the App with a real VM, and docker in a stock guest beside it.
func (b *bench) measureApp(ctx context.Context) error {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return fmt.Errorf("%w: install Debian's docker.io", err)
	}
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	b.logf("app: booting the App's VM")
	if _, err := s.timed(ctx, "start", "--timeout", vmTimeout); err != nil {
		return err
	}
	engine := dockerClient{b, docker, map[string]string{"HOME": s.home, "DOCKER_HOST": "unix://" + s.dockerSocket()}}
	if b.wants("app.start", "app.start-stock", "app.start-ratio") {
		if err := b.measureAppStart(ctx, s, engine); err != nil {
			return err
		}
	}
	if err := engine.importBox(ctx); err != nil {
		return err
	}
	if b.wants("app.event-p50", "app.event-p99") {
		for run := range b.runs {
			b.logf("app: %d containers are created, run %d of %d", appEvents, run+1, b.runs)
			if err := b.measureEvents(ctx, s, engine, fmt.Sprintf("event-%d-", run)); err != nil {
				return err
			}
		}
	}
	if b.wants("app.rss", "app.anonymous", "app.cpu", "app.wakeups") {
		b.logf("app: starting %d containers", appContainers)
		for range appContainers {
			if _, err := engine.run(ctx, "run", "-d", "box", "wait"); err != nil {
				return err
			}
		}
		if err := b.watchIdle(ctx, []*service{s}, "app"); err != nil {
			return err
		}
	}
	return b.remove(ctx, s)
}

// measureAppStart starts the App, and the stock guest with docker, alternately, each after a stop.
func (b *bench) measureAppStart(ctx context.Context, s *service, engine dockerClient) error {
	const name = "stock"
	text, err := os.ReadFile(filepath.Join(b.dist, "share", "rdd", "guest-stock", "stock.yaml"))
	if err != nil {
		return fmt.Errorf("there is no stock guest to compare with: %w: build it with: make stock-guest", err)
	}
	template := filepath.Join(b.dir, "stock-docker.yaml")
	if err := os.WriteFile(template, append(text, stockDocker...), 0o600); err != nil {
		return err
	}
	b.logf("app: booting the stock guest")
	if _, err := s.timed(ctx, "vm", "create", name, template, "--start", "--timeout", vmTimeout); err != nil {
		return err
	}
	home, err := s.path(ctx, "lima")
	if err != nil {
		return err
	}
	stock := dockerClient{b, engine.program, map[string]string{"HOME": s.home, "DOCKER_HOST": "unix://" + filepath.Join(home, name, "sock", "docker.sock")}}
	ways := []struct {
		key         string
		stop, start []string
		dockerClient
	}{
		{"app.start", []string{"stop"}, []string{"start"}, engine},
		{"app.start-stock", []string{"vm", "stop", name}, []string{"vm", "start", name}, stock},
	}
	for _, way := range ways { // one VM runs at a time
		if _, err := s.timed(ctx, append(way.stop, "--timeout", vmTimeout)...); err != nil {
			return err
		}
	}
	for run := range b.vmRuns {
		var seconds [2]float64
		for i, way := range ways {
			began := time.Now()
			if _, err := s.timed(ctx, append(way.start, "--timeout", vmTimeout)...); err != nil {
				return err
			}
			if err := way.answers(ctx); err != nil {
				return err
			}
			seconds[i] = time.Since(began).Seconds()
			b.logf("app: %s %.1f s, run %d of %d", way.key, seconds[i], run+1, b.vmRuns)
			b.add(way.key, seconds[i])
			if _, err := s.timed(ctx, append(way.stop, "--timeout", vmTimeout)...); err != nil {
				return err
			}
		}
		b.add("app.start-ratio", seconds[0]/seconds[1])
	}
	if _, err := s.timed(ctx, "vm", "delete", name); err != nil {
		return err
	}
	_, err = s.timed(ctx, "start", "--timeout", vmTimeout)
	return err
}

// measureEvents creates containers one after another, and records by how much the line of kubectl get -w comes later than
// that of docker events.
func (b *bench) measureEvents(ctx context.Context, s *service, engine dockerClient, prefix string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said, err := follow(engine.command(ctx, "events", "--filter", "event=create", "--format", `{{index .Actor.Attributes "name"}}`))
	if err != nil {
		return err
	}
	kubectl := exec.CommandContext(ctx, b.rdd, "--instance", s.name, "ctl", "get", "containers", "-w", "--no-headers", "-o", "custom-columns=NAME:.status.name")
	kubectl.Env = userEnv(kubectl.Environ(), map[string]string{"HOME": s.home})
	shown, err := follow(kubectl)
	if err != nil {
		return err
	}
	var late []float64
	for n := range appEvents + 1 {
		name := fmt.Sprint(prefix, n)
		if _, err := engine.run(ctx, "create", "--name", name, "box"); err != nil {
			return err
		}
		first, err := said(ctx, name)
		if err != nil {
			return fmt.Errorf("docker events: %w", err)
		}
		second, err := shown(ctx, name)
		if err != nil {
			return fmt.Errorf("rdd ctl get containers -w: %w", err)
		}
		if n > 0 { // both were still connecting at the first one
			late = append(late, milliseconds(second.Sub(first)))
		}
	}
	b.add("app.event-p50", median(late))
	b.add("app.event-p99", percentile(late, 99))
	_, err = engine.shell(ctx, `docker ps -aq | xargs docker rm -f`)
	return err
}

// lineTimeout is how long a line may take.
const lineTimeout = time.Minute

// follow starts a command, and returns a function that returns when the command printed a line.
func follow(cmd *exec.Cmd) (func(ctx context.Context, line string) (time.Time, error), error) {
	type printed struct {
		line string
		at   time.Time
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan printed, 10*appEvents)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- printed{strings.TrimSpace(scanner.Text()), time.Now()}
		}
		_ = cmd.Wait()
	}()
	return func(ctx context.Context, line string) (time.Time, error) {
		late := time.After(lineTimeout)
		for {
			select {
			case <-ctx.Done():
				return time.Time{}, context.Cause(ctx)
			case <-late:
				return time.Time{}, fmt.Errorf("no line %q within %s", line, lineTimeout)
			case p, ok := <-lines:
				if !ok {
					return time.Time{}, fmt.Errorf("it ended before the line %q", line)
				}
				if p.line == line {
					return p.at, nil
				}
			}
		}
	}, nil
}

// dockerClient runs docker for one engine.
type dockerClient struct {
	b       *bench
	program string
	env     map[string]string
}

func (d dockerClient) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = userEnv(cmd.Environ(), d.env)
	return cmd
}

func (d dockerClient) run(ctx context.Context, args ...string) (string, error) {
	_, out, err := measure(ctx, d.b.peak, d.env, append([]string{d.program}, args...)...)
	return string(out), err
}

func (d dockerClient) shell(ctx context.Context, script string) (string, error) {
	_, out, err := measure(ctx, d.b.peak, d.env, "sh", "-c", script)
	return string(out), err
}

// answers waits until the engine answers.
func (d dockerClient) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		_, err := d.run(ctx, "version")
		if err == nil {
			return nil
		}
		if pauseErr := pause(ctx, 100*time.Millisecond); pauseErr != nil {
			return fmt.Errorf("the engine does not answer: %w", err)
		}
	}
}

// importBox makes the image box, whose only program is the one that the tests of the engine use.
func (d dockerClient) importBox(ctx context.Context) error {
	program := filepath.Join(d.b.dir, "box")
	if _, err := goCommand(ctx, "build", "-ldflags", "-s -w", "-o", program, module+"internal/engine/testdata/box"); err != nil {
		return err
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	if err := w.WriteHeader(&tar.Header{Name: "box", Mode: 0o755, Size: int64(len(text))}); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	cmd := d.command(ctx, "import", "--change", `ENTRYPOINT ["/box"]`, "-", "box")
	cmd.Stdin, cmd.Stdout = &image, io.Discard
	var problem bytes.Buffer
	cmd.Stderr = &problem
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker import: %w: %s", err, &problem)
	}
	return nil
}
