package state

import (
	"sync"
	"sync/atomic"
)

// Watcher is told when a session has ended: by Destroy, by Renew under the old key, by time, or because a
// Restore has no such session. One machine at a time watches for it.
type Watcher struct {
	key   Key
	index uint64
	ended func()
	told  atomic.Bool

	// Guarded by watchers.mu of the machine that watches.
	watched    bool // it is in a list there
	seen       bool // that machine has held the session since
	next, prev *Watcher
}

// NewWatcher returns a Watcher for the session of key, which existed when the command at index had been
// carried out. It calls ended once, on any goroutine, Apply's above all: it must return at once.
func NewWatcher(key Key, index uint64, ended func()) *Watcher {
	return &Watcher{key: key, index: index, ended: ended}
}

func (w *Watcher) tell() {
	if w.told.CompareAndSwap(false, true) {
		w.ended()
	}
}

// watchers are those of one machine. Whatever ends a session nobody watches pays for a look at n.
type watchers struct {
	n atomic.Int64

	mu     sync.Mutex // taken before a shard's
	first  map[Key]*Watcher
	unseen int // those whose session the machine has not held yet
}

// Watch has w told when its session has ended. If it has already, w is told before Watch returns. A machine
// that is behind w's index and lacks the session has yet to come to it.
func (m *Machine) Watch(w *Watcher) {
	if w.told.Load() {
		return
	}
	m.watchers.mu.Lock()
	w.seen = false
	m.watchers.addLocked(w) // before the look, so that no end is missed
	over := m.overLocked(w)
	if over {
		m.watchers.removeLocked(w)
	}
	m.watchers.mu.Unlock()
	if over {
		w.tell()
	}
}

// Unwatch undoes Watch. A call of ended that has begun goes on.
func (m *Machine) Unwatch(w *Watcher) {
	m.watchers.mu.Lock()
	defer m.watchers.mu.Unlock()
	m.watchers.removeLocked(w)
}

// Recheck tells watchers whose sessions never came, although this machine has come to their index: its
// history is not the one in which they existed. It costs nothing if there are none to look at.
func (m *Machine) Recheck() { m.recheck(false) }

// recheck looks at the watchers whose sessions have not been seen, or at all of them.
func (m *Machine) recheck(all bool) {
	var over []*Watcher
	m.watchers.mu.Lock()
	if all || m.watchers.unseen > 0 {
		for _, w := range m.watchers.first {
			for ; w != nil; w = w.next {
				if (all || !w.seen) && m.overLocked(w) {
					over = append(over, w)
				}
			}
		}
	}
	for _, w := range over {
		m.watchers.removeLocked(w)
	}
	m.watchers.mu.Unlock()
	for _, w := range over {
		w.tell()
	}
}

// overLocked reports whether it is certain that the session has ended.
func (m *Machine) overLocked(w *Watcher) bool {
	t := m.table.Load()
	applied := t.applied.Load() // first, so that what was applied by then is seen
	if t.holds(w.key) {
		m.watchers.seeLocked(w)
		return false
	}
	return w.seen || applied >= w.index || t.buried(w.key, m.nowMillis())
}

// tellEnded tells those who watch for sessions that Apply has ended.
func (ws *watchers) tellEnded(keys []Key) {
	if len(keys) == 0 || ws.n.Load() == 0 {
		return
	}
	var over []*Watcher
	ws.mu.Lock()
	for _, key := range keys {
		for w := ws.first[key]; w != nil; w = ws.first[key] {
			ws.removeLocked(w)
			over = append(over, w)
		}
	}
	ws.mu.Unlock()
	for _, w := range over {
		w.tell()
	}
}

func (ws *watchers) addLocked(w *Watcher) {
	if ws.first == nil {
		ws.first = make(map[Key]*Watcher)
	}
	next := ws.first[w.key]
	if next != nil {
		next.prev = w
	}
	w.watched, w.next, w.prev = true, next, nil
	ws.first[w.key] = w
	ws.unseen++
	ws.n.Add(1)
}

func (ws *watchers) seeLocked(w *Watcher) {
	if !w.seen {
		w.seen = true
		ws.unseen--
	}
}

func (ws *watchers) removeLocked(w *Watcher) {
	if !w.watched {
		return
	}
	switch {
	case w.prev != nil:
		w.prev.next = w.next
	case w.next != nil:
		ws.first[w.key] = w.next
	default:
		delete(ws.first, w.key)
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	if !w.seen {
		ws.unseen--
	}
	w.watched, w.next, w.prev = false, nil, nil
	ws.n.Add(-1)
}
