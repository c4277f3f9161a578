package lane

import "sync"

// turn is a lock that is held while the network is waited for. Whoever waits for its turn waits by a
// condition: so tests in fake time, where waiting for a sync.Mutex counts as work, see that nothing happens
// but waiting. The zero turn is free.
type turn struct {
	mu    sync.Mutex
	free  sync.Cond
	taken bool // guarded by mu
}

func (t *turn) Lock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.taken {
		t.free.L = &t.mu
		t.free.Wait()
	}
	t.taken = true
}

func (t *turn) Unlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	t.free.Signal()
}

// TryLock reports whether it was free, and is now taken.
func (t *turn) TryLock() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return false
	}
	t.taken = true
	return true
}
