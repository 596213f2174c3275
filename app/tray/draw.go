package tray

import (
	"math"

	"fyne.io/systray"
)

// drawing brings systray's menu from one View to the next. One goroutine at a time uses it.
type drawing struct {
	dark    bool
	clicked func(ID)

	icon    Icon
	frame   int
	tooltip string
	lines   []*line
}

// line is an item as systray has it.
type line struct {
	item   Item
	native *systray.MenuItem // nil: a rule
	below  []*line
	gone   chan struct{} // closed when it is taken away
}

// show changes what differs.
func (d *drawing) show(v View) {
	if v.Icon != d.icon {
		d.icon, d.frame = v.Icon, 0
		d.setIcon()
	}
	if v.Tooltip != d.tooltip {
		d.tooltip = v.Tooltip
		systray.SetTooltip(v.Tooltip)
	}
	if common(d.lines, v.Items) < max(len(d.lines), len(v.Items)) {
		// systray can't take a rule away, so the menu is rebuilt when the list of VMs changes.
		for _, l := range d.lines {
			l.forget()
		}
		if len(d.lines) > 0 {
			systray.ResetMenu()
		}
		d.lines = nil
	}
	d.lines = d.update(nil, d.lines, v.Items)
}

func (d *drawing) setIcon() {
	systray.SetTemplateIcon(picture(d.icon, d.frame, false), picture(d.icon, d.frame, d.dark))
}

// animate draws the next picture of an icon that moves.
func (d *drawing) animate() {
	d.frame = (d.frame + 1) % iconFrames
	d.setIcon()
}

// common is how many of the first items are the same ones in both.
func common(lines []*line, items []Item) (n int) {
	for n < min(len(lines), len(items)) && lines[n].item.ID == items[n].ID && lines[n].item.Check == items[n].Check && (len(lines[n].below) > 0) == (len(items[n].Items) > 0) {
		n++
	}
	return n
}

// update makes lines below parent show items. It rebuilds everything after the first item that differs,
// because systray adds items at the end only.
func (d *drawing) update(parent *line, lines []*line, items []Item) []*line {
	same := common(lines, items)
	for _, l := range lines[same:] {
		l.remove()
	}
	lines = lines[:same]
	for i := range items {
		if i == len(lines) {
			lines = append(lines, d.add(parent, items[i]))
		} else {
			lines[i].change(items[i])
		}
		lines[i].below = d.update(lines[i], lines[i].below, items[i].Items)
	}
	return lines
}

// maxClicks is how many clicks on one item may wait. The queue of a channel of nothing takes no room.
const maxClicks = math.MaxInt32

func (d *drawing) add(parent *line, item Item) *line {
	l := &line{item: item, gone: make(chan struct{})}
	switch {
	case item.ID.Verb == rule:
		systray.AddSeparator()
		return l
	case parent == nil && item.Check:
		l.native = systray.AddMenuItemCheckbox(label(item.Title), "", item.Checked)
	case parent == nil:
		l.native = systray.AddMenuItem(label(item.Title), "")
	default:
		l.native = parent.native.AddSubMenuItem(label(item.Title), "")
	}
	clicks := make(chan struct{}, maxClicks) // systray drops a click that nobody takes at once
	l.native.ClickedCh = clicks
	go func() {
		for {
			select {
			case <-clicks:
				d.clicked(item.ID)
			case <-l.gone:
				return
			}
		}
	}()
	if item.Disabled {
		l.native.Disable()
	}
	if item.Hidden {
		l.native.Hide()
	}
	return l
}

// change brings a line up to date.
func (l *line) change(item Item) {
	old := l.item
	l.item = item
	if l.native == nil {
		return
	}
	if old.Title != item.Title {
		l.native.SetTitle(label(item.Title))
	}
	if old.Disabled != item.Disabled {
		if item.Disabled {
			l.native.Disable()
		} else {
			l.native.Enable()
		}
	}
	if old.Checked != item.Checked {
		if item.Checked {
			l.native.Check()
		} else {
			l.native.Uncheck()
		}
	}
	if old.Hidden != item.Hidden {
		if item.Hidden {
			l.native.Hide()
		} else {
			l.native.Show()
		}
	}
}

// remove takes a line away with what is below it.
func (l *line) remove() {
	l.forget()
	if l.native != nil {
		l.native.Remove()
	}
}

// forget ends the listening. systray closes the channel of an item that it removes, and would panic on
// a click that comes at that moment; it leaves alone one that it can't see.
func (l *line) forget() {
	for _, b := range l.below {
		b.forget()
	}
	if l.native != nil {
		l.native.ClickedCh = nil
		close(l.gone)
	}
}
