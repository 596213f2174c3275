package engine

import "testing"

func TestLinkTellsEachChangeOnce(t *testing.T) {
	var l Link
	first, changed := l.Get()
	if first.Phase != Stopped {
		t.Errorf("a new link is %q", first.Phase)
	}
	l.Set(Target{Phase: Starting})
	<-changed
	now, changed := l.Get()
	if now.Phase != Starting {
		t.Errorf("the link is %q", now.Phase)
	}
	l.Set(Target{Phase: Starting})
	select {
	case <-changed:
		t.Error("the same target is a change")
	default:
	}
}
