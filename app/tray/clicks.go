package tray

import "sync"

// clicks is a queue without an end, so that nothing that is slow holds up the menu or loses a click.
type clicks struct {
	mu     sync.Mutex
	more   *sync.Cond
	ids    []ID
	closed bool
}

func newClicks() *clicks {
	c := &clicks{}
	c.more = sync.NewCond(&c.mu)
	return c
}

func (c *clicks) put(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
	c.more.Signal()
}

func (c *clicks) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.more.Signal()
}

// deliver passes the clicks on, one after the other, until close.
func (c *clicks) deliver(clicked func(ID)) {
	for {
		c.mu.Lock()
		for len(c.ids) == 0 && !c.closed {
			c.more.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		id := c.ids[0]
		c.ids = c.ids[1:]
		c.mu.Unlock()
		clicked(id)
	}
}
