package main

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// xfce is a session with Xfce's panel on its screen. The panel has only tray icons.
type xfce struct{ *testEnv }

// Sizes in pixels. The screen is little larger than the menu, because the README shows a picture of it.
const (
	panelHeight  = 32
	screenWidth  = 480
	screenHeight = 336
)

// background is the colour of the desktop. It is darker than an icon's ink.
const background = 0x2b5c7e

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

func newXfce(t *testing.T) *xfce {
	t.Helper()
	for _, program := range []string{"xfce4-panel", "xdotool"} {
		desktoptest.Need(t, program, program)
	}
	s := &xfce{newTestEnv(t)}
	s.Screen = desktoptest.StartScreen(t, screenWidth, screenHeight)
	s.Screen.Background(background)
	config := filepath.Join(s.Bus.Home(), ".config/xfce4/xfconf/xfce-perchannel-xml")
	err := os.MkdirAll(config, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(config, "xfce4-panel.xml"), []byte(panelConfig), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	panel := exec.Command("xfce4-panel", "--disable-wm-check")
	panel.Env = append(s.Env(), "NO_AT_BRIDGE=1")
	output, err := os.Create(filepath.Join(s.Bus.Home(), "xfce4-panel.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	panel.Stdout, panel.Stderr = output, output
	s.start(panel)
	t.Cleanup(func() {
		if t.Failed() {
			s.Screen.Save("failed")
			said, _ := os.ReadFile(output.Name())
			s.Logf("the panel: %s", said)
		}
	})
	return s
}

// start starts a program. It ends with the test, together with its children.
func (s *xfce) start(cmd *exec.Cmd) {
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

// brightPixels returns the bounds and the number of the pixels in a part of the screen that are as bright as an icon.
func brightPixels(img *image.NRGBA, part image.Rectangle) (r image.Rectangle, pixels int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if c := img.NRGBAAt(x, y); c.R > 200 && c.G > 200 && c.B > 200 {
				r, pixels = r.Union(image.Rect(x, y, x+1, y+1)), pixels+1
			}
		}
	}
	return r, pixels
}

func (s *xfce) xdotool(args ...string) {
	s.Helper()
	cmd := exec.Command("xdotool", args...)
	cmd.Env = s.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("xdotool %v: %v\n%s", args, err, out)
	}
}

// The icon is in the panel, a click opens the menu, and the keyboard chooses from it.
func TestInXfcesPanelTheMenuStartsTheService(t *testing.T) {
	s := newXfce(t)
	tray := s.tray()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the tray: %s", tray.Output())
		}
	})
	band := image.Rect(0, 0, screenWidth, panelHeight)
	below := image.Rect(0, panelHeight+2, screenWidth, screenHeight)
	var icon image.Rectangle
	var empty int
	s.Eventually("the panel shows the icon", func() bool {
		icon, empty = brightPixels(s.Screen.Picture(), band)
		return icon.Dx() > 8 && icon.Dy() > 8 && icon.Dx() < 40
	})
	middle := icon.Min.Add(icon.Size().Div(2))
	if c := s.Screen.Picture().NRGBAAt(middle.X, middle.Y); c.R > 100 {
		t.Errorf("the middle of the icon of a stopped service is %v", c)
	}
	s.Screen.Save("stopped")

	s.xdotool("mousemove", fmt.Sprint(middle.X), fmt.Sprint(middle.Y), "click", "1")
	s.Eventually("the menu opens", func() bool {
		menu, _ := brightPixels(s.Screen.Picture(), below)
		return menu.Dx() > 80 && menu.Dy() > 100
	})
	s.Screen.Save("menu")
	s.xdotool("key", "Down", "Return")
	s.xdotool("mousemove", fmt.Sprint(screenWidth-1), fmt.Sprint(screenHeight-1)) // otherwise the icon's tooltip would be taken for the menu
	s.Eventually("the icon is another one", func() bool {
		_, pixels := brightPixels(s.Screen.Picture(), band)
		return pixels > empty+empty/2
	})
	s.Eventually("the menu has closed", func() bool {
		_, pixels := brightPixels(s.Screen.Picture(), below)
		return pixels == 0
	})
	if got := s.RDD("svc", "start"); !strings.Contains(got, "already running") {
		t.Errorf("the menu started no service:\n%s", got)
	}

	s.withApp("shop-web nginx:1.29 running\nshop-db postgres:17 running\nblog wordpress:6 exited\n")
	s.RDD("start")
	s.RDD("vm", "create", "demo", s.Template)
	s.xdotool("mousemove", fmt.Sprint(middle.X), fmt.Sprint(middle.Y), "click", "1")
	s.Eventually("the menu opens", func() bool {
		menu, _ := brightPixels(s.Screen.Picture(), below)
		return menu.Dy() > 180
	})
	s.Screen.Save("running")
	closed, _ := brightPixels(s.Screen.Picture(), below)
	s.xdotool("key", "Down", "Down", "Down", "Right") // Stop RDD, Stop the container engine, Containers
	s.Eventually("the submenu of the containers opens", func() bool {
		menu, _ := brightPixels(s.Screen.Picture(), below)
		return menu.Dx() > closed.Dx()+80
	})
	s.Screen.Save("containers")
	if c := s.Screen.Picture().NRGBAAt(screenWidth-1, screenHeight-1); c != (color.NRGBA{R: 0x2b, G: 0x5c, B: 0x7e, A: 0xff}) {
		t.Errorf("outside the menu the picture has the colour %v", c)
	}
}
