package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// goneCache remembers sessions that a replicated store has asked for in vain, so that their tokens cost no second question.
// Whoever adds a key has seen, after a barrier, a copy of the log's state with no session of it, living or past its
// deadline. That is final: a token leaves a node only after its session was created, and no command brings one back. What
// can bring one back is another history: that of a restored backup. So the cache is bound to the copy and the history that it was
// filled from.
type goneCache struct {
	some     atomic.Bool // there is something in it; else nobody need take the lock
	mu       sync.Mutex
	from     origin
	now, old map[StoreKey]struct{} // two generations, so that forgetting is dropping a map
	turned   time.Time
}

// origin is where knowledge comes from: a copy, in a history.
type origin struct {
	machine *Machine
	cluster string
}

const (
	goneFor = 10 * time.Second
	maxGone = 1 << 16 // per generation: 1 MiB of keys, a few of map
)

func (g *goneCache) add(key StoreKey, from origin) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnLocked(time.Now(), from)
	if g.now == nil {
		g.now = map[StoreKey]struct{}{}
	}
	if len(g.now) < maxGone {
		g.now[key] = struct{}{}
		g.some.Store(true)
	}
}

func (g *goneCache) has(key StoreKey, from origin) bool {
	if !g.some.Load() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnLocked(time.Now(), from)
	_, ok := g.now[key]
	if !ok {
		_, ok = g.old[key]
	}
	return ok
}

func (g *goneCache) turnLocked(now time.Time, from origin) {
	switch age := now.Sub(g.turned); {
	case age >= 2*goneFor, g.from != from:
		g.now, g.old, g.turned, g.from = nil, nil, now, from
	case age >= goneFor:
		g.now, g.old, g.turned = nil, g.now, now
	default:
		return
	}
	g.some.Store(len(g.old) > 0)
}
