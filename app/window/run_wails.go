//go:build (desktop && production) || dev || bindings

package window

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"image"
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

// icon is shown by panels and window switchers. build/icons draws it.
//
//go:embed icon.png
var icon []byte

// The initial and the smallest size of the window, in pixels.
const (
	firstWidth, firstHeight = 1080, 720
	leastWidth, leastHeight = 560, 420
)

// sensible corrects a stored place to a size and position that a window can have.
func sensible(p core.WindowPlace) core.WindowPlace {
	const most = 30_000 // X has 16 bits
	p.Width, p.Height = min(max(p.Width, leastWidth), most), min(max(p.Height, leastHeight), most)
	p.X, p.Y = min(max(p.X, -most), most), min(max(p.Y, -most), most)
	return p
}

// Bridge is bound to the page by Wails.
type Bridge struct {
	call func(method, params string) string
}

// Call calls a method of the API. If it fails, the result is {"error": Problem}.
func (b *Bridge) Call(method, params string) string { return b.call(method, params) }

// show shows the window until it is closed, or its context ends. It belongs on the main goroutine.
func show(asked context.Context, o Options, single *core.Single) (err error) {
	ctx, cancel := context.WithCancel(asked)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // only the start of GTK panics
			err = fmt.Errorf("could not open the window: %v. Check that DISPLAY is correct and that you have access to it. Without a display, use: rdd dashboard", p)
		}
	}()
	all.Go(func() { o.API.Run(ctx) })
	place, known := o.Core.WindowPlace()
	if !known {
		place = core.WindowPlace{Width: firstWidth, Height: firstHeight}
	}
	place = sensible(place)
	begun, begin := context.WithCancel(ctx)
	w := &window{options: o, single: single, begun: begun.Done(), begin: begin, notes: notify.New("RDD")}
	defer w.notes.Close()
	defer w.closing.Do(func() {}) // waits for a close that is under way
	state := options.Normal
	if place.Maximised {
		state = options.Maximised
	}
	return wails.Run(&options.App{
		Title: "RDD", Width: place.Width, Height: place.Height, MinWidth: leastWidth, MinHeight: leastHeight, WindowStartState: state,
		AssetServer: &assetserver.Options{Assets: o.Files},
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

// window is the window of this program.
type window struct {
	options Options
	single  *core.Single
	begun   <-chan struct{} // closed by the page's first call, when it listens to events, or at the end of the program
	begin   func()
	closing sync.Once
	notes   notify.Notifier

	mu     sync.Mutex
	hidden context.CancelFunc // shows the window again; nil: it is not hidden
}

func (w *window) call(ctx context.Context, method, params string) string {
	w.begin()
	result, problem := w.options.API.Call(ctx, method, []byte(params))
	if problem != nil {
		result, _ = json.Marshal(map[string]any{"error": problem}) // strings only
	}
	return string(result)
}

// push passes events on to the page.
func (w *window) push(ctx, wails context.Context) {
	<-w.begun
	w.open(ctx, wails, w.options.Request)
	for e := range w.options.API.Events(ctx) {
		runtime.EventsEmit(wails, e.Name, e.Data)
	}
}

// open shows in the page what a request names.
func (w *window) open(ctx, wails context.Context, r Request) {
	if r == (Request{}) || ctx.Err() != nil {
		return
	}
	event := r.routed()
	if verb, vm, ok := r.followed(); ok {
		if ref, err := w.options.API.Follow(verb, vm); err == nil { // otherwise the VM's page is shown
			event.Operation = ref.Operation
		}
	}
	runtime.EventsEmit(wails, "open", event)
}

// serve brings the window to the front for each later start of the program, and shows what that requests.
func (w *window) serve(ctx, wails context.Context) {
	w.single.Serve(func(args []string) {
		w.show(wails)
		a, _, err := Parse(args)
		if err != nil {
			return
		}
		go func() { // the other program does not wait until the page listens
			<-w.begun
			w.open(ctx, wails, a.Request)
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
	if to := reachable(at, screens()); to != at { // its screen is gone
		move(wails, to)
	}
}

// hide hides the window instead of closing it while operations are under way. Notifications then show their questions and
// ends, and the program ends with the last of them. hide returns false if there are no operations.
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
	if w.isHidden() {
		runtime.Quit(wails)
	}
}

func (w *window) isHidden() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hidden != nil
}

// close returns whether the window may close: only the first time, although Wails asks twice at a signal. GTK's main loop
// must not be ended again while the window is being destroyed.
func (w *window) close(wails context.Context) (first bool) {
	w.closing.Do(func() {
		first = true
		if !w.isHidden() { // else hide has stored its place
			w.remember(wails)
		}
	})
	return first
}

func (w *window) remember(wails context.Context) {
	place := core.WindowPlace{Maximised: runtime.WindowIsMaximised(wails)}
	if place.Maximised { // the size is that of the screen
		place.Width, place.Height = firstWidth, firstHeight
	} else {
		place.Width, place.Height = runtime.WindowGetSize(wails)
		place.X, place.Y = runtime.WindowGetPosition(wails)
	}
	_ = w.options.Core.SetWindowPlace(place) // otherwise it only opens somewhere else next time
}
