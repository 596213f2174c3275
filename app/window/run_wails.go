//go:build (desktop && production) || dev || bindings

package window

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"image"
	"io/fs"
	"net/http"
	"slices"
	"sync"

	"github.com/wailsapp/wails/v2"
	"github.com/wailsapp/wails/v2/pkg/options"
	"github.com/wailsapp/wails/v2/pkg/options/assetserver"
	"github.com/wailsapp/wails/v2/pkg/options/linux"
	"github.com/wailsapp/wails/v2/pkg/runtime"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// icon is what panels and switchers show. build/icons draws it.
//
//go:embed icon.png
var icon []byte

// The window at first, and at least, in pixels.
const (
	firstWidth, firstHeight = 1080, 720
	leastWidth, leastHeight = 560, 420
)

// sensible makes sure that a remembered window has a size and a place that a window can have.
func sensible(p core.WindowPlace) core.WindowPlace {
	const most = 30_000 // X has 16 bits
	p.Width, p.Height = min(max(p.Width, leastWidth), most), min(max(p.Height, leastHeight), most)
	p.X, p.Y = min(max(p.X, -most), most), min(max(p.Y, -most), most)
	return p
}

// Bridge is what Wails binds to the page.
type Bridge struct {
	call func(method, params string) string
}

// Call carries out a method of the API. A failed one gives {"error": Problem}.
func (b *Bridge) Call(method, params string) string { return b.call(method, params) }

// show shows the window until it is closed, or its context ends. It belongs on the main goroutine.
func show(asked context.Context, o Options, single *core.Single) (err error) {
	ctx, cancel := context.WithCancel(asked)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // GTK's start is the only thing here that does
			err = fmt.Errorf("the window can't be opened: %v: is DISPLAY right, and may you use it? Without a display use: rdd dashboard", p)
		}
	}()
	all.Go(func() { o.API.Run(ctx) })
	place, known := o.Core.WindowPlace()
	if !known {
		place = core.WindowPlace{Width: firstWidth, Height: firstHeight}
	}
	place = sensible(place)
	w := &window{options: o, single: single, begun: make(chan struct{}), notes: notify.New("RDD")}
	defer w.notes.Close()
	defer w.closing.end() // before this program does
	state := options.Normal
	if place.Maximised {
		state = options.Maximised
	}
	assets := &assetserver.Options{Assets: o.Files}
	if _, err := fs.Stat(o.Files, "index.html"); err != nil { // Wails would end the program
		assets = &assetserver.Options{Handler: http.HandlerFunc(missing)}
	}
	return wails.Run(&options.App{
		Title: "RDD", Width: place.Width, Height: place.Height, MinWidth: leastWidth, MinHeight: leastHeight, WindowStartState: state,
		AssetServer: assets,
		Bind:        []any{&Bridge{func(method, params string) string { return w.call(ctx, method, params) }}},
		Linux:       &linux.Options{ProgramName: "rdd-window", Icon: icon, WebviewGpuPolicy: linux.WebviewGpuPolicyNever},
		OnStartup: func(wails context.Context) {
			if known && !place.Maximised {
				at := image.Rect(place.X, place.Y, place.X+place.Width, place.Y+place.Height)
				move(wails, reachable(at, screens()))
			}
			all.Go(func() { w.push(ctx, wails) })
			all.Go(func() { w.serve(ctx, wails) })
			context.AfterFunc(asked, func() { runtime.Quit(wails) })
		},
		OnBeforeClose: func(wails context.Context) (prevent bool) {
			if asked.Err() == nil && w.hide(ctx, wails, &all) {
				return true
			}
			return !w.close(wails)
		},
		OnShutdown: func(context.Context) {
			cancel()
			_ = single.Close()
		},
	})
}

// window is the one that is shown.
type window struct {
	options Options
	single  *core.Single
	once    sync.Once
	begun   chan struct{} // closed when the page listens: its first call comes after that
	closing once
	notes   notify.Notifier

	mu     sync.Mutex
	hidden context.CancelFunc // shows the window; nil: it is shown
}

// once does something at most once, and not after its end, which waits for it.
type once struct {
	mu   sync.Mutex
	done bool
}

func (o *once) do(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.done {
		o.done = true
		f()
	}
}

func (o *once) end() { o.do(func() {}) }

func (w *window) call(ctx context.Context, method, params string) string {
	w.once.Do(func() { close(w.begun) })
	result, problem := w.options.API.Call(ctx, method, []byte(params))
	if problem != nil {
		result, _ = json.Marshal(map[string]any{"error": problem}) // strings only
	}
	return string(result)
}

// push passes events on to the page.
func (w *window) push(ctx, wails context.Context) {
	select {
	case <-w.begun:
	case <-ctx.Done():
		return
	}
	w.open(wails, w.options.Request)
	for e := range w.options.API.Events(ctx) {
		runtime.EventsEmit(wails, e.Name, e.Data)
	}
}

// open shows the page what is asked for.
func (w *window) open(wails context.Context, r Request) {
	if r == (Request{}) {
		return
	}
	event := r.routed()
	if verb, vm, ok := r.followed(); ok {
		if ref, err := w.options.API.Follow(verb, vm); err == nil { // else there is the VM's page
			event.Operation = ref.Operation
		}
	}
	runtime.EventsEmit(wails, "open", event)
}

// serve comes to the front for each later start, and shows what that asks for.
func (w *window) serve(ctx, wails context.Context) {
	w.single.Serve(func(args []string) {
		w.show(wails)
		a, _, err := Parse(args)
		if err != nil {
			return
		}
		go func() { // the program that asks doesn't wait for a page that doesn't listen yet
			select {
			case <-w.begun:
				w.open(wails, a.Request)
			case <-ctx.Done():
			}
		}()
	})
}

func (w *window) show(wails context.Context) {
	w.mu.Lock()
	if w.hidden != nil {
		w.hidden()
		w.hidden = nil
	}
	w.mu.Unlock()
	runtime.WindowUnminimise(wails)
	runtime.WindowShow(wails)
	x, y := runtime.WindowGetPosition(wails)
	width, height := runtime.WindowGetSize(wails)
	at := image.Rect(x, y, x+width, y+height)
	if to := reachable(at, screens()); to != at { // its screen has gone since
		move(wails, to)
	}
}

// hide hides the window instead of closing it while operations that it began are under way: they are waited
// for and asked about as before, in notifications. After their end the program ends. It returns false when
// there is none.
func (w *window) hide(ctx, wails context.Context, all *sync.WaitGroup) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	busy := slices.ContainsFunc(w.options.API.Operations(), operation.List.Waited)
	if w.hidden != nil || !busy {
		return false
	}
	w.remember(wails)
	runtime.WindowHide(wails)
	shown, show := context.WithCancel(ctx)
	w.hidden = show
	all.Go(func() {
		notifier := &operation.Notifier{
			Notes: w.notes, Show: func(operation.Operation) { w.show(wails) },
			Answer: func(id string, answer operation.Answer) { _ = w.options.API.Answer(id, answer) }, // it may have ended meanwhile
		}
		for range w.options.API.Events(shown) {
			if !notifier.Look(w.options.API.Operations()...) {
				w.leave(wails)
				return
			}
		}
		notifier.Withdraw()
	})
	return true
}

// leave ends the program, unless the window was shown again.
func (w *window) leave(wails context.Context) {
	w.mu.Lock()
	hidden := w.hidden != nil
	w.mu.Unlock()
	if hidden {
		runtime.Quit(wails)
	}
}

// close says whether the window may close: once, although Wails asks twice at a signal. GTK's main loop must
// not be ended a second time while the window is torn down.
func (w *window) close(wails context.Context) (first bool) {
	w.closing.do(func() {
		first = true
		w.mu.Lock()
		hidden := w.hidden != nil
		w.mu.Unlock()
		if !hidden { // else its place is remembered already
			w.remember(wails)
		}
	})
	return first
}

func (w *window) remember(wails context.Context) {
	place := core.WindowPlace{Maximised: runtime.WindowIsMaximised(wails)}
	if place.Maximised { // its size is the screen's
		place.Width, place.Height = firstWidth, firstHeight
	} else {
		place.Width, place.Height = runtime.WindowGetSize(wails)
		place.X, place.Y = runtime.WindowGetPosition(wails)
	}
	_ = w.options.Core.SetWindowPlace(place) // a window that opens elsewhere next time is no failure
}

func missing(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintln(w, "<!doctype html><title>RDD</title><p>This program was built without its page: run <code>make build</code>.")
}
