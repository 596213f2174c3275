//go:build linux

package desktoptest

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"rancherdesktop.io/rdd/internal/testenv"
)

// Screen is a virtual X display with 24-bit colour. It has no window manager.
type Screen struct {
	testing.TB
	Display string // the value of DISPLAY for programs

	conn *xgb.Conn
	root xproto.Window
	all  image.Rectangle
}

// Window is a visible window.
type Window struct {
	Program string // its class, such as rdd-window
	Title   string
	Place   image.Rectangle // on the screen

	id xproto.Window
}

// StartScreen starts a screen of this size in pixels. It ends with the test. Without Xvfb it calls testenv.Missing.
func StartScreen(tb testing.TB, width, height int) *Screen {
	tb.Helper()
	Need(tb, "Xvfb", "xvfb")
	read, write, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer read.Close()
	ctx, end := context.WithCancel(context.Background())
	x := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{write}
	x.Cancel = func() error { return x.Process.Signal(syscall.SIGTERM) } // so that it removes its socket and its lock
	x.WaitDelay = testenv.Timeout
	err = x.Start()
	_ = write.Close()
	if err != nil {
		end()
		tb.Fatal(err)
	}
	tb.Cleanup(func() { end(); _ = x.Wait() })
	number, err := bufio.NewReader(read).ReadString('\n') // printed once it is up
	if err != nil {
		tb.Fatal(err)
	}
	s := &Screen{TB: tb, Display: ":" + strings.TrimSpace(number), all: image.Rect(0, 0, width, height)}
	s.connect()
	return s
}

// connect connects to the screen. Without any client, the X server would also reset itself.
func (s *Screen) connect() {
	s.Helper()
	socket, err := net.Dial("unix", "/tmp/.X11-unix/X"+s.Display[1:])
	if err == nil {
		// The server does not check the cookie of a local user, but without one xgb prints an error.
		s.conn, err = xgb.NewConnNetWithCookieHex(socket, strings.Repeat("0", 32))
	}
	if err != nil {
		s.Fatal(err)
	}
	s.root = xproto.Setup(s.conn).DefaultScreen(s.conn).Root
	s.Cleanup(func() {
		s.conn.Close()
		for open := true; open; {
			event, err := s.conn.WaitForEvent()
			open = event != nil || err != nil
		}
	})
}

// Background fills the screen behind all windows with a colour, such as 0x336699. Without it the screen is black.
func (s *Screen) Background(colour uint32) {
	s.Helper()
	err := xproto.ChangeWindowAttributesChecked(s.conn, s.root, xproto.CwBackPixel, []uint32{colour}).Check()
	if err == nil {
		err = xproto.ClearAreaChecked(s.conn, false, s.root, 0, 0, uint16(s.all.Dx()), uint16(s.all.Dy())).Check()
	}
	if err != nil {
		s.Fatal(err)
	}
}

// Windows returns the visible windows, with the front window last.
func (s *Screen) Windows() (all []Window) {
	s.Helper()
	tree, err := xproto.QueryTree(s.conn, s.root).Reply()
	if err != nil {
		s.Fatal(err)
	}
	for _, id := range tree.Children {
		if w, seen := s.look(id); seen {
			all = append(all, w)
		}
	}
	return all
}

// look returns a window and whether it is visible. One that has been closed meanwhile is not.
func (s *Screen) look(id xproto.Window) (Window, bool) {
	attributes, err := xproto.GetWindowAttributes(s.conn, id).Reply()
	if err != nil || attributes.MapState != xproto.MapStateViewable {
		return Window{}, false
	}
	g, err := xproto.GetGeometry(s.conn, xproto.Drawable(id)).Reply()
	if err != nil {
		return Window{}, false
	}
	program, _, _ := strings.Cut(s.property(id, "WM_CLASS"), "\x00")
	x, y := int(g.X), int(g.Y)
	return Window{Program: program, Title: s.property(id, "_NET_WM_NAME"), Place: image.Rect(x, y, x+int(g.Width), y+int(g.Height)), id: id}, true
}

// property returns the beginning of a window's property, or "".
func (s *Screen) property(id xproto.Window, name string) string {
	s.Helper()
	const length = 1024 // in words of 32 bits
	reply, err := xproto.GetProperty(s.conn, false, id, s.atom(name), xproto.GetPropertyTypeAny, 0, length).Reply()
	if err != nil {
		return "" // closed meanwhile
	}
	return string(reply.Value)
}

func (s *Screen) atom(name string) xproto.Atom {
	s.Helper()
	reply, err := xproto.InternAtom(s.conn, false, uint16(len(name)), name).Reply()
	if err != nil {
		s.Fatal(err)
	}
	return reply.Atom
}

// Icon returns the size in pixels of the icon that a window provides for panels, or zero.
// Source: Extended Window Manager Hints 1.5, _NET_WM_ICON.
func (s *Screen) Icon(w Window) image.Point {
	s.Helper()
	words := []byte(s.property(w.id, "_NET_WM_ICON"))
	if len(words) < 8 {
		return image.Point{}
	}
	return image.Pt(int(xgb.Get32(words)), int(xgb.Get32(words[4:])))
}

// Move moves and resizes a window, like a user with the mouse.
func (s *Screen) Move(w Window, to image.Rectangle) {
	s.Helper()
	values := []uint32{uint32(to.Min.X), uint32(to.Min.Y), uint32(to.Dx()), uint32(to.Dy())}
	const mask = xproto.ConfigWindowX | xproto.ConfigWindowY | xproto.ConfigWindowWidth | xproto.ConfigWindowHeight
	if err := xproto.ConfigureWindowChecked(s.conn, w.id, mask, values).Check(); err != nil {
		s.Fatal(err)
	}
}

// Close closes a window, like a click on its close button. Source: ICCCM 2.0, 4.2.8.1.
func (s *Screen) Close(w Window) {
	s.Helper()
	data := []uint32{uint32(s.atom("WM_DELETE_WINDOW")), xproto.TimeCurrentTime, 0, 0, 0}
	event := xproto.ClientMessageEvent{Format: 32, Window: w.id, Type: s.atom("WM_PROTOCOLS"), Data: xproto.ClientMessageDataUnionData32New(data)}
	if err := xproto.SendEventChecked(s.conn, false, w.id, xproto.EventMaskNoEvent, string(event.Bytes())).Check(); err != nil {
		s.Fatal(err)
	}
}

// Picture returns what the screen shows.
func (s *Screen) Picture() *image.NRGBA { s.Helper(); return s.Part(s.all) }

// Part returns what a part of the screen shows.
func (s *Screen) Part(part image.Rectangle) *image.NRGBA {
	s.Helper()
	part = part.Intersect(s.all)
	img := image.NewNRGBA(part)
	if part.Empty() {
		return img
	}
	const planes = 0xffffffff
	reply, err := xproto.GetImage(s.conn, xproto.ImageFormatZPixmap, xproto.Drawable(s.root), int16(part.Min.X), int16(part.Min.Y), uint16(part.Dx()), uint16(part.Dy()), planes).Reply()
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(img.Pix); i += 4 { // on a little-endian machine: blue, green, red and an unused byte
		b := reply.Data[i : i+4]
		copy(img.Pix[i:], []byte{b[2], b[1], b[0], 255})
	}
	return img
}

// Colours counts the colours in a part of the screen, up to most.
func (s *Screen) Colours(part image.Rectangle, most int) int {
	s.Helper()
	seen := map[[3]byte]bool{}
	pix := s.Part(part).Pix
	for i := 0; i < len(pix) && len(seen) < most; i += 4 {
		if c := [3]byte(pix[i:]); i == 0 || c != [3]byte(pix[i-4:]) { // skip repeated pixels, which are most
			seen[c] = true
		}
	}
	return len(seen)
}

// Save saves what the screen shows as an artifact of the test (go test -artifacts).
func (s *Screen) Save(name string) {
	s.Helper()
	f, err := os.Create(filepath.Join(s.ArtifactDir(), name+".png"))
	if err == nil {
		err = png.Encode(f, s.Picture())
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		s.Error(err)
	}
}
