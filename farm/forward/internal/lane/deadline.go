package lane

import "time"

// deadline is a moment after which waits of a stream end.
type deadline struct {
	at    time.Time // zero = none
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set changes the deadline; wake is called when it passes.
func (d *deadline) set(at time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = at; !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), wake)
	}
}

// setDeadlines is for the connection of a tunnel.
func (s *stream) setDeadlines(read, write *time.Time) {
	wake := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if read != nil {
		s.readBy.set(*read, wake)
	}
	if write != nil {
		s.writeBy.set(*write, wake)
	}
	s.changed.Broadcast()
}
