package farm

import (
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	noiseSoon  = 5 * time.Second // after the first line of a kind its summary comes
	noiseEvery = time.Minute     // between two summaries of a kind
)

// noises are what net/http says of connections on which no request came: by the beginnings of its lines, and in our words.
// Strangers can cause any number of them.
var noises = []struct{ begins, means string }{
	{"http: TLS handshake error from ", "TLS handshakes failed"},
	{"http2: server: error reading preface from client ", "HTTP/2 connections did not begin as such"},
	{"http2: server connection error from ", "HTTP/2 connections failed"},
	{"http2: server closing client connection", "HTTP/2 connections failed"},
	{"timeout waiting for SETTINGS frames from ", "HTTP/2 connections did not begin as such"},
}

// noise takes what net/http's server logs. Of what any stranger can cause it makes one line for all that came within a time;
// everything else, panics of handlers above all, is passed on at once.
type noise struct {
	next io.Writer
	log  *slog.Logger

	mu   sync.Mutex
	of   map[string]*heard // by what they mean; guarded by mu
	over bool              // nothing is counted any more; guarded by mu

	due sync.WaitGroup // of timers, until their summaries are said
}

// heard is what there was of one kind.
type heard struct {
	count int
	last  string      // line
	said  time.Time   // when the last summary was
	timer *time.Timer // for the next one; nil while there was nothing since
}

// newNoise returns an ErrorLog for the public server, which is quiet about strangers until endNoise.
func newNoise(l *slog.Logger) *log.Logger {
	return log.New(&noise{next: errorLog(l).Writer(), log: l, of: make(map[string]*heard)}, "", 0)
}

// endNoise has an ErrorLog of newNoise say what it has not said yet. It counts nothing any more.
func endNoise(l *log.Logger) {
	if n, ok := l.Writer().(*noise); ok {
		n.end()
	}
}

func (n *noise) Write(line []byte) (int, error) {
	for _, kind := range noises {
		if strings.HasPrefix(string(line), kind.begins) && n.count(kind.means, string(line)) {
			return len(line), nil
		}
	}
	return n.next.Write(line)
}

// count reports false when nothing is counted any more.
func (n *noise) count(means, line string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return false
	}
	h := n.of[means]
	if h == nil {
		h = &heard{}
		n.of[means] = h
	}
	h.count++
	h.last = strings.TrimSpace(line)
	if h.timer == nil {
		wait := max(noiseSoon, noiseEvery-time.Since(h.said))
		n.due.Add(1)
		h.timer = time.AfterFunc(wait, func() {
			defer n.due.Done()
			n.say(means, h)
		})
	}
	return true
}

// say makes a line of what there was of one kind.
func (n *noise) say(means string, h *heard) {
	if count, last := n.take(h); count > 0 { // without the lock: the logger is code of the program
		n.log.Warn(means, "count", count, "last", last)
	}
}

// take returns what there was, which begins anew.
func (n *noise) take(h *heard) (count int, last string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if count, last = h.count, h.last; count > 0 {
		h.count, h.timer, h.said = 0, nil, time.Now()
	}
	return count, last
}

// end says what there is, and waits for what a timer is just saying: the program may exit after that.
func (n *noise) end() {
	for means, h := range n.close() {
		n.say(means, h)
	}
	n.due.Wait()
}

// close has nothing counted any more, and returns what there is of each kind.
func (n *noise) close() map[string]*heard {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	for _, h := range n.of {
		if h.timer != nil && h.timer.Stop() {
			n.due.Done()
		}
	}
	return n.of
}
