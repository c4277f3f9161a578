package replica

// workLock is a lock that is held for as long as a state machine takes. It is a channel, since in a synctest
// bubble the clock stands still while somebody waits for a mutex, and a machine of the tests that takes its
// time would never end.
type workLock chan struct{}

func newWorkLock() workLock { return make(workLock, 1) }

// Lock takes the lock.
func (l workLock) Lock() { l <- struct{}{} }

// Unlock gives it back.
func (l workLock) Unlock() { <-l }
