package farm

import (
	"sync"
	"time"
)

// endLook is how often it is looked for watches that have lasted for a while.
const endLook = 10 * time.Millisecond

// endWatch is the read by which net/http waits for the end of a client while its handler runs. Most handlers have
// returned before that could matter, and a read that begins in vain and is taken back costs a system call and two
// timers. So one waits here first, and reads when it has been seen by two looks: after 10 to 20 milliseconds.
type endWatch struct {
	over       chan struct{} // holds one: that it waits no more; made for the first wait
	since      uint64        // endWatches.looks when it began; guarded by endWatches.mu
	prev, next *endWatch     // nil = it does not wait; guarded by endWatches.mu
}

// endWatches are those of a listener.
type endWatches struct {
	mu    sync.Mutex
	ring  endWatch // the one that waits longest is its next; guarded by mu
	looks uint64
	timer *time.Timer // nil before the first one; guarded by mu
	armed bool        // guarded by mu
}

// begin notes that w waits from now on, until over has something. It reports false if w waits already.
func (ws *endWatches) begin(w *endWatch) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.next != nil {
		return false
	}
	if w.over == nil {
		w.over = make(chan struct{}, 1)
	}
	if ws.ring.next == nil {
		ws.ring.prev, ws.ring.next = &ws.ring, &ws.ring
	}
	last := ws.ring.prev
	w.since, w.prev, w.next = ws.looks, last, &ws.ring
	last.next, ws.ring.prev = w, w
	switch {
	case ws.armed:
	case ws.timer == nil:
		ws.timer = time.AfterFunc(endLook, ws.look)
	default:
		ws.timer.Reset(endLook)
	}
	ws.armed = true
	return true
}

// end ends the wait of w, if it waits.
func (ws *endWatches) end(w *endWatch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.endLocked(w)
}

func (ws *endWatches) endLocked(w *endWatch) {
	if w.next == nil {
		return
	}
	w.prev.next, w.next.prev = w.next, w.prev
	w.prev, w.next = nil, nil
	select {
	case w.over <- struct{}{}:
	default: // it is told already
	}
}

// look ends the waits that a look before this one has seen. Nobody looks while nobody waits.
func (ws *endWatches) look() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.looks++
	for w := ws.ring.next; w != &ws.ring && ws.looks-w.since >= 2; w = ws.ring.next {
		ws.endLocked(w)
	}
	if ws.armed = ws.ring.next != &ws.ring; ws.armed {
		ws.timer.Reset(endLook)
	}
}
