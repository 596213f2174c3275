package tray

import (
	"math"

	"fyne.io/systray"
)

// drawing changes systray's menu from one View to the next. Only one goroutine at a time may use it.
type drawing struct {
	dark    bool
	clicked func(ID)

	icon    Icon
	frame   int
	tooltip string
	lines   []*line
}

// line is an item of systray's menu.
type line struct {
	item   Item
	native *systray.MenuItem // nil: a separator
	below  []*line
	gone   chan struct{} // closed when the item is removed
}

// show changes the icon, the tooltip and the items that differ from the view.
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
		// systray can't remove a separator, so the menu is rebuilt when the list of VMs changes.
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

// animate shows the next picture of the animated icon.
func (d *drawing) animate() {
	d.frame = (d.frame + 1) % iconFrames
	d.setIcon()
}

// common returns how many items at the beginning are the same in both.
func common(lines []*line, items []Item) (n int) {
	for n < min(len(lines), len(items)) && lines[n].item.ID == items[n].ID && lines[n].item.Check == items[n].Check && (len(lines[n].below) > 0) == (len(items[n].Items) > 0) {
		n++
	}
	return n
}

// update makes the lines below parent show items. It rebuilds everything after the first item that differs, because
// systray can only append items.
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

// maxClicks is how many clicks on one item may wait. A channel of empty structs needs no memory for its buffer.
const maxClicks = math.MaxInt32

func (d *drawing) add(parent *line, item Item) *line {
	l := &line{item: Item{ID: item.ID, Title: item.Title, Check: item.Check, Checked: item.Checked}, gone: make(chan struct{})}
	switch {
	case item.ID.Verb == separator:
		systray.AddSeparator()
		return l
	case parent == nil && item.Check:
		l.native = systray.AddMenuItemCheckbox(label(item.Title), "", item.Checked)
	case parent == nil:
		l.native = systray.AddMenuItem(label(item.Title), "")
	default:
		l.native = parent.native.AddSubMenuItem(label(item.Title), "")
	}
	clicks := make(chan struct{}, maxClicks) // systray drops a click that the channel has no room for
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
	l.change(item)
	return l
}

// change updates a line.
func (l *line) change(item Item) {
	old := l.item
	l.item = item
	if l.native == nil {
		return
	}
	if old.Title != item.Title {
		l.native.SetTitle(label(item.Title))
	}
	set := func(was, is bool, on, off func()) {
		if is && !was {
			on()
		} else if was && !is {
			off()
		}
	}
	set(old.Disabled, item.Disabled, l.native.Disable, l.native.Enable)
	set(old.Checked, item.Checked, l.native.Check, l.native.Uncheck)
	set(old.Hidden, item.Hidden, l.native.Hide, l.native.Show)
}

// remove removes a line with its submenu.
func (l *line) remove() {
	l.forget()
	if l.native != nil {
		l.native.Remove()
	}
}

// forget stops listening for clicks. systray closes the channel of an item that it removes, and would panic on a click
// at that moment. It leaves the channel alone if the item has none any more.
func (l *line) forget() {
	for _, b := range l.below {
		b.forget()
	}
	if l.native != nil {
		l.native.ClickedCh = nil
		close(l.gone)
	}
}
