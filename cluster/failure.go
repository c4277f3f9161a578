package cluster

import "sync"

// failure is why a node can never be a member as it is configured. It happens once, for good.
type failure struct {
	once sync.Once
	err  error
	done chan struct{} // closed when it has happened
}

func newFailure() failure { return failure{done: make(chan struct{})} }

// set notes the reason, and reports whether it is the first.
func (f *failure) set(err error) (first bool) {
	f.once.Do(func() {
		f.err, first = err, true
		close(f.done)
	})
	return first
}

// get returns the reason, nil as long as there is none.
func (f *failure) get() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}
