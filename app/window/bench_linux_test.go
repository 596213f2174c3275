package window_test

import (
	"fmt"
	"image"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// BenchmarkWindow opens the window of a service with three VMs, and closes it. The files are in the page cache, and the
// session has an accessibility bus, as on a desktop.
//
//	paint-s  from exec to the first picture with text on it
//	pss-MiB  what the window and WebKit's processes use 3 s later
func BenchmarkWindow(b *testing.B) {
	d := newSession(b)
	d.Bus.Accessible()
	d.RDD("svc", "start")
	welcomed(d)
	for i := range 3 {
		d.RDD("vm", "create", fmt.Sprint("vm", i), d.Template)
	}
	open(d)
	var paint time.Duration
	var memory float64
	for b.Loop() {
		took, used := open(d)
		paint, memory = paint+took, memory+used
	}
	b.ReportMetric(paint.Seconds()/float64(b.N), "paint-s")
	b.ReportMetric(memory/float64(b.N), "pss-MiB")
	b.ReportMetric(0, "ns/op") // says nothing
}

// open opens the window, and closes it: how long it took to paint the page, and the memory in MiB.
func open(d *desktoptest.Session) (paint time.Duration, memory float64) {
	d.Helper()
	began := time.Now()
	window := d.Start("rdd-window")
	var shown desktoptest.Window
	d.Eventually("the page is painted", func() bool {
		for _, shown = range windows(d) {
			// The names of pages and instance are here; to read all of the window would cost what is measured.
			begin := image.Rectangle{shown.Place.Min, shown.Place.Min.Add(image.Pt(200, 200))}
			return d.Screen.Colours(begin, text) >= text
		}
		return false
	})
	paint = time.Since(began)
	time.Sleep(3 * time.Second) // until what its start needed is free again
	memory = desktoptest.PSS(d, window.Pid)
	for pid := range webKits(d) {
		memory += desktoptest.PSS(d, pid)
	}
	d.Screen.Close(shown)
	window.MustExit(0)
	return paint, memory
}
