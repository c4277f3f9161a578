// Package broadcast tells any number of watchers that something has changed.
package broadcast

import "sync"

// Signal tells that something has changed. It carries no value: watchers look for themselves. So Notify never
// waits for anybody, and a slow watcher misses nothing but what has been replaced since. The zero value is ready.
type Signal struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next Notify; nil if nobody has asked since the last
}

// Next returns a channel that is closed at the next Notify. Take it before you look, so that nothing falls in
// between.
func (s *Signal) Next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Notify says that something has changed.
func (s *Signal) Notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
