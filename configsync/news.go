package configsync

import "sync"

// news tells all who wait that something has happened.
type news struct {
	mu   sync.Mutex
	next chan struct{} // closed and replaced at whatever happens; nil while nobody waits; guarded by mu
}

// wait returns a channel that is closed when something has happened after that.
func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// tell says that something has happened.
func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}
