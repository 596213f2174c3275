//go:build unix

package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/testenv"

	"github.com/lima-vm/lima/pkg/limayaml"
	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// sshd is an SSH server whose commands all succeed and whose sockets send back what they get.
type sshd struct {
	listener net.Listener
	config   *ssh.ServerConfig
	print    func(command string) string // what a command prints; nil: nothing

	mu    sync.Mutex
	conns []net.Conn
}

func newSSHD(t *testing.T) *sshd {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{config: &ssh.ServerConfig{NoClientAuth: true}}
	s.config.AddHostKey(signer)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.listener.Close(); s.hangUp() })
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return s
}

// hangUp ends all connections, as a restart of a guest's server does.
func (s *sshd) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *sshd) serve(conn net.Conn) {
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		if c.ChannelType() != "session" { // direct-streamlocal@openssh.com
			go ssh.DiscardRequests(requests)
			go func() { _, _ = io.Copy(channel, channel); _ = channel.Close() }()
			continue
		}
		go func() {
			for r := range requests {
				_ = r.Reply(true, nil)
				if r.Type == "exec" {
					if s.print != nil {
						_, _ = io.WriteString(channel, s.print(string(r.Payload[4:])))
					}
					_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
					_ = channel.Close()
				}
			}
		}()
	}
}

// connected is a VM with a forwarded socket and shared folders whose SSH server is s, and the connection that carries them.
func connected(t *testing.T, s *sshd, mounts ...limayaml.Mount) (c *Connection, socket string, reported <-chan *event.Trouble) {
	limatest.Needs(t, "ssh")
	home, err := os.MkdirTemp("", "rdd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	vm := layout.VM{Home: home, Name: "rd"}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	config := fmt.Sprintf("Host lima-rd\n  Hostname 127.0.0.1\n  Port %s\n  User rdd\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  BatchMode yes\n"+
		"  ControlMaster auto\n  ControlPath \"%s\"\n  ControlPersist yes\n", port, filepath.Join(vm.Dir(), "ssh.sock"))
	if err := os.WriteFile(filepath.Join(vm.Dir(), "ssh.config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	no := false
	reverse := limayaml.REVSSHFS
	socket = filepath.Join(vm.Dir(), "sock", "docker.sock")
	y := &limayaml.LimaYAML{Plain: &no, MountType: &reverse, Mounts: mounts, SSH: limayaml.SSH{ForwardAgent: &no},
		PortForwards: []limayaml.PortForward{{GuestSocket: "/run/docker.sock", HostSocket: socket}, {GuestPort: 80}}}
	events := make(chan *event.Trouble, 100)
	c = NewConnection(vm, y, nil)
	c.report, c.retryInterval, c.checkInterval = func(e event.Event) { events <- e.Trouble }, time.Millisecond, 10*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = sshCommand(context.Background(), vm, "-O", "exit", "lima-rd").Run()
	})
	return c, socket, events
}

// awaitTrouble waits for a report that names the socket as down, or for one that nothing is.
func awaitTrouble(t *testing.T, reported <-chan *event.Trouble, socket string, down bool) {
	t.Helper()
	for late := time.After(testenv.Timeout); ; {
		select {
		case tr := <-reported:
			if tr.Source != event.FromConnection {
				t.Fatalf("%+v", tr)
			}
			if down == strings.Contains(strings.Join(tr.Messages, "\n"), socket) && (down || len(tr.Messages) == 0) {
				return
			}
		case <-late:
			t.Fatal("nothing more is reported")
		}
	}
}

// echoes fails the test unless the forwarded socket leads to the guest.
func echoes(t *testing.T, socket string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testenv.Timeout))
	b := make([]byte, 4)
	if _, err = conn.Write([]byte("ping")); err == nil {
		_, err = io.ReadFull(conn, b)
	}
	if err != nil || string(b) != "ping" {
		t.Fatal(err, string(b))
	}
}

func TestDockerSocketComesBackWhenTheSSHConnectionEnds(t *testing.T) {
	s := newSSHD(t)
	c, socket, reported := connected(t, s)
	awaitTrouble(t, reported, socket, false)
	echoes(t, socket)
	for name, end := range map[string]func(){
		"its master is told to end": func() {
			if out, err := exec.Command("ssh", "-F", filepath.Join(c.vm.Dir(), "ssh.config"), "-O", "exit", "lima-rd").CombinedOutput(); err != nil {
				t.Fatal(err, string(out))
			}
		},
		"the server hangs up": s.hangUp,
	} {
		end()
		awaitTrouble(t, reported, socket, true)
		awaitTrouble(t, reported, socket, false)
		t.Log(name)
		echoes(t, socket)
	}
}

func TestFileInThePlaceOfAForwardedSocketIsKept(t *testing.T) {
	s := newSSHD(t)
	_, socket, reported := connected(t, s)
	awaitTrouble(t, reported, socket, false)
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.hangUp()
	for late := time.After(testenv.Timeout); ; {
		select {
		case tr := <-reported:
			if !strings.Contains(strings.Join(tr.Messages, "\n"), "something else at that path") {
				continue
			}
		case <-late:
			t.Fatal("it is not reported")
		}
		break
	}
	if b, err := os.ReadFile(socket); err != nil || string(b) != "precious" {
		t.Fatal(err, string(b))
	}
}

func TestMissingSharedFolderIsReportedAndMadeAgain(t *testing.T) {
	s := newSSHD(t)
	var gone atomic.Bool
	gone.Store(true)
	s.print = func(command string) string {
		switch {
		case strings.Contains(command, "[ -d"):
			if gone.Load() {
				return "0\n"
			}
		case strings.Contains(command, "sshfs :"): // that shares it
			gone.Store(false)
		}
		return ""
	}
	folder := t.TempDir()
	no, builtin, point := false, limayaml.SFTPDriverBuiltin, "/mnt/it's here"
	_, _, reported := connected(t, s, limayaml.Mount{Location: folder, MountPoint: &point, Writable: &no,
		SSHFS: limayaml.SSHFS{Cache: &no, FollowSymlinks: &no, SFTPDriver: &builtin}})
	awaitTrouble(t, reported, folder, true) // as when it failed at boot
	awaitTrouble(t, reported, folder, false)
	gone.Store(true) // as when its process has ended
	awaitTrouble(t, reported, folder, true)
	awaitTrouble(t, reported, folder, false)
}
