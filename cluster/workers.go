package cluster

import "sync"

// workers are goroutines that are waited for at the end. The zero value has none.
type workers struct {
	mu   sync.Mutex
	over bool // none may be started any more
	wg   sync.WaitGroup
}

// start starts a goroutine. It reports false, and does nothing, if it is too late for that.
func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false
	}
	w.wg.Go(f)
	return true
}

// end lets none be started any more, and waits for those there are.
func (w *workers) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wg.Wait()
}
