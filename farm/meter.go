package farm

import (
	"sync"
	"time"
)

// pace is how fast clients have to be. The zero pace is none.
type pace struct {
	stall time.Duration // for which a client may make no progress while it is waited for; 0 = for ever
	rate  int           // bytes a second that win that time back
}

// meter measures how long somebody waits for one client, in one direction. Each moment of waiting costs time, and each byte
// wins some back, up to pace.stall. A client without time is cut off. Time during which nobody waits costs nothing.
type meter struct {
	pace
	cut func() // called with mu held, once, unless the meter is over

	mu    sync.Mutex
	spent time.Duration // guarded by mu
	waits int           // how many wait; guarded by mu
	since int64         // when the first of them began, see moment; guarded by mu
	timer *time.Timer   // guarded by mu
	armed bool          // it runs, and fires when the time is over or before; guarded by mu
	over  bool          // guarded by mu
}

// begin is called before something that may wait for the client.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waits++; m.waits > 1 || m.over {
		return
	}
	m.since = moment()
	if m.timer == nil {
		m.armed = true
		m.timer = time.AfterFunc(m.stall-m.spent, m.look)
	} else if !m.armed {
		m.armed = true
		m.timer.Reset(m.stall - m.spent)
	}
}

// end is called after it, with the number of bytes that have come or gone. The timer runs on: to stop it each time, and to set it
// again, would cost more than what is measured.
func (m *meter) end(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return
	}
	now := moment()
	m.spent = min(m.spent+time.Duration(now-m.since), m.stall)
	m.since = now
	m.waits--
	if float64(n) >= float64(m.rate)*m.stall.Seconds() {
		m.spent = 0
		return
	}
	m.spent = max(m.spent-time.Duration(n)*time.Second/time.Duration(m.rate), 0)
}

// look cuts the client off if its time is over, or looks again when it will be. While nobody waits nobody looks.
func (m *meter) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed = false
	if m.over || m.waits == 0 {
		return
	}
	if left := m.stall - m.spent - time.Duration(moment()-m.since); left > 0 {
		m.armed = true
		m.timer.Reset(left)
		return
	}
	m.over = true
	m.cut()
}

// stop ends the measuring. When it has returned, cut is not running, and will not.
func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
