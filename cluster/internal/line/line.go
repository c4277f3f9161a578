// Package line carries raft's requests to one other node over a line of any speed. A Line learns from the
// answers how much one request may hold, and how long its bytes may take. A Conn turns the fixed deadlines
// that raft sets into deadlines by progress: a connection on which bytes go on is kept, and one on which
// nothing moves is ended soon.
package line

import (
	"sync"
	"time"
)

const (
	LeastAppend = 64 << 10 // bytes; what an append to a node of which nothing is known may hold
	MostAppend  = 2 << 20  // bytes; what an append may hold over the fastest line

	quick = time.Second     // an append that is answered within this lets the next ones be larger
	slow  = 4 * time.Second // one that takes longer makes them smaller

	// bytes per second that a line is taken to carry before anything is known of it
	firstPace  = 16 << 10
	margin     = 4                // a line may become so many times slower between two answers
	mostDoubt  = 1 << 6           // how many times longer than that bytes may take in the end
	telling    = 16 << 10         // bytes; the answer to less says nothing of the line's pace
	worthDoubt = 1 << 10          // bytes; less that stands still says that the other end is gone
	Silence    = 10 * time.Second // without an answer to any heartbeat; then a node counts as gone

	// trips is for how long the shortest round trip is remembered at least, and for twice as long at most
	trips = 30 * time.Second
)

// Line is what is known of the line to one other node. The zero value knows nothing. It may be used by many
// goroutines.
type Line struct {
	mu    sync.Mutex
	limit int     // of an append, in bytes; 0 = LeastAppend
	pace  float64 // bytes per second, by the latest answers; 0 = not known
	// factor: doubled by each connection on which bytes stood still, since the last answer; 0 = 1
	doubt   time.Duration
	heard   time.Time   // the latest answer to anything
	waiting func() bool // whether the answer to a snapshot may still come; nil = none is under way

	trip   time.Duration // the shortest since turned; 0 = none
	before time.Duration // and the shortest in the time before that
	turned time.Time
}

// Limit returns how many bytes the entries of one append may have, unless a single entry has more.
func (l *Line) Limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.limit, LeastAppend)
}

// Answered notes that an append of so many bytes was answered, and how long after it was sent, or after the
// answer to the one before it.
func (l *Line) Answered(bytes int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now()
	if bytes == 0 {
		return
	}
	l.doubt = 0
	limit := max(l.limit, LeastAppend)
	switch {
	case took <= quick && 2*bytes >= limit:
		l.limit = min(2*limit, MostAppend)
	case took > slow:
		l.limit = max(limit/2, LeastAppend)
	}
	if bytes < telling {
		return
	}
	pace := float64(bytes) / max(took, time.Millisecond).Seconds()
	if l.pace > 0 {
		pace = (pace + l.pace) / 2
	}
	l.pace = pace
}

// Heard notes an answer that says nothing of the line's pace, as that to a heartbeat.
func (l *Line) Heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now()
}

// Beat notes the answer to a heartbeat, and how long after that it came.
func (l *Line) Beat(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now()
	if l.heard.Sub(l.turned) >= trips {
		l.before, l.trip, l.turned = l.trip, 0, l.heard
	}
	l.trip = shortest(l.trip, max(took, 1))
}

// RoundTrip returns how long it takes to the node at the other end and back: the shortest of late, since a
// heartbeat may have to wait there, or behind other bytes. It reports false if that is not known, or the node
// does not answer.
func (l *Line) RoundTrip() (d time.Duration, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d = shortest(l.trip, l.before)
	return d, d > 0 && time.Since(l.heard) < Silence
}

// shortest returns the lesser of two times of which 0 says that there is none.
func shortest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// LastHeard returns when the node at the other end has answered anything last; zero if it never did.
func (l *Line) LastHeard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// Alive reports whether the node at the other end has answered anything lately.
func (l *Line) Alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.heard.IsZero() && time.Since(l.heard) < Silence
}

// Failed notes that so many bytes stood still until their deadline: what was known of the line holds no more,
// and the bytes of the next attempt get twice the time.
func (l *Line) Failed(bytes int) {
	if bytes < worthDoubt {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.pace = 0, 0
	l.doubt = min(2*max(l.doubt, 1), mostDoubt)
}

// Allow returns how long so many bytes may take, and be answered, beside what an answer takes anyway.
func (l *Line) Allow(bytes int) time.Duration {
	pace := float64(firstPace)
	var doubt time.Duration = 1
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		doubt = max(doubt, l.doubt)
		if l.pace > 0 {
			pace = l.pace / margin
		}
	}
	return doubt * time.Duration(float64(bytes)/pace*float64(time.Second))
}

// Await has connections wait for the answer to a snapshot for as long as may says so, until the returned
// function is called: the other end says nothing while it restores it, which takes as long as it takes.
func (l *Line) Await(may func() bool) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = may
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting = nil
	}
}

func (l *Line) mayWait() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	waiting := l.waiting
	l.mu.Unlock()
	return waiting != nil && waiting()
}
