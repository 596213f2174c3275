package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// screen is a virtual screen with Xfce's panel, which has room for tray icons and nothing else.
type screen struct {
	*box
	display string
	memory  string // the file that holds the picture
}

const panelHeight = 32

const panelConfig = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty"><property name="plugin-1" type="string" value="systray"/></property>
</channel>
`

func newScreen(t *testing.T) *screen {
	t.Helper()
	for program, debian := range map[string]string{"Xvfb": "xvfb", "xfce4-panel": "xfce4-panel", "xdotool": "xdotool"} {
		desktoptest.Need(t, program, debian)
	}
	s := &screen{box: newBox(t)}
	config := filepath.Join(s.bus.Home(), ".config/xfce4/xfconf/xfce-perchannel-xml")
	err := os.MkdirAll(config, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(config, "xfce4-panel.xml"), []byte(panelConfig), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	s.memory = filepath.Join(dir, "Xvfb_screen0")
	x := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "800x600x24", "-fbdir", dir, "-nolisten", "tcp")
	number, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	x.ExtraFiles = []*os.File{w}
	s.start(x)
	_ = w.Close()
	line, err := bufio.NewReader(number).ReadString('\n') // it is up
	if err != nil {
		t.Fatal(err)
	}
	s.display = ":" + strings.TrimSpace(line)
	panel := exec.Command("xfce4-panel", "--disable-wm-check")
	panel.Env = append(s.env(), "DISPLAY="+s.display, "NO_AT_BRIDGE=1")
	s.start(panel)
	t.Cleanup(func() {
		if t.Failed() {
			s.save("failed")
		}
	})
	return s
}

// start starts a program, which ends with the test, and so does all that it starts.
func (s *screen) start(cmd *exec.Cmd) {
	s.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
}

// picture is what the screen shows. Source: XWDFile.h; the file has a header, a table of colours, and
// here 4 bytes a pixel: blue, green, red and nothing.
func (s *screen) picture() *image.NRGBA {
	s.Helper()
	b, err := os.ReadFile(s.memory)
	if err != nil {
		s.Fatal(err)
	}
	field := func(i int) int { return int(binary.BigEndian.Uint32(b[4*i:])) }
	width, height, stride, start := field(4), field(5), field(12), field(0)+12*field(19)
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p := b[start+y*stride+4*x:]
			img.SetNRGBA(x, y, color.NRGBA{p[2], p[1], p[0], 255})
		}
	}
	return img
}

// save keeps what the screen shows, for people to look at (go test -artifacts).
func (s *screen) save(name string) {
	s.Helper()
	f, err := os.Create(filepath.Join(s.ArtifactDir(), name+".png"))
	if err == nil {
		err = png.Encode(f, s.picture())
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		s.Error(err)
	}
}

// bright is the box around the pixels of a part of the screen that are as bright as an icon's ink.
func bright(img *image.NRGBA, part image.Rectangle) (r image.Rectangle, pixels int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if c := img.NRGBAAt(x, y); c.R > 200 && c.G > 200 && c.B > 200 {
				r, pixels = r.Union(image.Rect(x, y, x+1, y+1)), pixels+1
			}
		}
	}
	return r, pixels
}

func (s *screen) xdotool(args ...string) {
	s.Helper()
	cmd := exec.Command("xdotool", args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+s.display)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("xdotool %v: %v\n%s", args, err, out)
	}
}

// A person's way: see the icon in the panel, click on it, choose from the menu with the keyboard.
func TestInXfcesPanelTheMenuStartsTheService(t *testing.T) {
	s := newScreen(t)
	s.tray()
	band := image.Rect(0, 0, 800, panelHeight)
	below := image.Rect(0, panelHeight+2, 800, 600)
	var icon image.Rectangle
	var empty int
	s.eventually("the panel shows the icon", func() bool {
		icon, empty = bright(s.picture(), band)
		return icon.Dx() > 8 && icon.Dy() > 8 && icon.Dx() < 40
	})
	middle := icon.Min.Add(icon.Size().Div(2))
	if c := s.picture().NRGBAAt(middle.X, middle.Y); c.R > 100 {
		t.Errorf("the middle of the icon of a stopped service is %v", c)
	}
	s.save("stopped")

	s.xdotool("mousemove", fmt.Sprint(middle.X), fmt.Sprint(middle.Y), "click", "1")
	s.eventually("the menu opens", func() bool {
		menu, _ := bright(s.picture(), below)
		return menu.Dx() > 80 && menu.Dy() > 100
	})
	s.save("menu")
	s.xdotool("key", "Down", "Return")
	s.eventually("the icon is another one", func() bool {
		_, pixels := bright(s.picture(), band)
		return pixels > empty+empty/2
	})
	s.eventually("the menu has closed", func() bool {
		_, pixels := bright(s.picture(), below)
		return pixels == 0
	})
	if got := s.rdd("svc", "start"); !strings.Contains(got, "runs already") {
		t.Errorf("the menu started no service:\n%s", got)
	}

	s.rdd("vm", "create", "demo", "./vm.yaml", "--start")
	s.rdd("vm", "create", "web", "./vm.yaml")
	s.xdotool("click", "1")
	s.eventually("the menu opens", func() bool {
		menu, _ := bright(s.picture(), below)
		return menu.Dy() > 180
	})
	s.save("running")
}
