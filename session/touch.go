package session

import (
	"context"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

const (
	touchEvery = time.Second // one command per node and this long
	maxTouch   = 4096        // sessions in one command: 64 KiB
	maxTouches = 1 << 17     // sessions waiting; beyond that they wait for their next use
)

// touchSet is the sessions whose use is to be noted.
type touchSet struct {
	mu  sync.Mutex
	set map[StoreKey]struct{}
}

// touch notes a use of a session, if the last one noted is old enough for it to matter. A session that is used all the
// time costs one sixteenth of 1 KiB of log a minute, whatever the number of requests.
//
// Uses are noted in the background, but for a session that would end before that is done, or while an ordinary request still
// runs: that one is noted at once, and touch reports that it has been. If it cannot be, the request goes on: a change that comes too
// late says so.
func (m *Manager) touch(ctx context.Context, key StoreKey, rec *Record, now time.Time) (atOnce bool) {
	age := now.Sub(rec.LastSeen)
	if age < state.Granularity(rec.Idle) {
		return false
	}
	if age >= rec.Idle-touchEvery-m.cfg.CommitTimeout {
		if _, err := m.do(context.WithoutCancel(ctx), Touch{Keys: []StoreKey{key}}); err == nil {
			return true
		}
	}
	m.touches.add(key)
	return false
}

func (t *touchSet) add(key StoreKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set == nil {
		t.set = map[StoreKey]struct{}{}
	}
	if len(t.set) < maxTouches {
		t.set[key] = struct{}{}
	}
}

func (t *touchSet) drain() map[StoreKey]struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.set
	t.set = nil
	return set
}

// sendTouches notes uses in batches. Nobody waits for it, and what fails is lost: the session's next use comes again.
func (m *Manager) sendTouches(ctx context.Context) {
	for sleep.For(ctx, touchEvery) {
		batch := make([]StoreKey, 0, 64)
		for key := range m.touches.drain() {
			if batch = append(batch, key); len(batch) == maxTouch {
				m.sendTouch(ctx, batch)
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			m.sendTouch(ctx, batch)
		}
	}
}

func (m *Manager) sendTouch(ctx context.Context, keys []StoreKey) {
	if _, err := m.do(ctx, Touch{Keys: keys}); err != nil {
		m.cfg.Logger.Debug("session: touch", "sessions", len(keys), "err", err)
	}
}
