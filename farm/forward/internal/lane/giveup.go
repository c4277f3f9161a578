package lane

// GiveUp gives up the attempt of this number (Facts.Attempt), for this reason: the Err of its outcome.
// It may be called from any goroutine, at any time. It reports false, and does nothing, if that is not the
// attempt now; if the answer has begun; or if the handler has announced a change that must not be made twice:
// see Writer.Mark. One that is given up makes none any more that it has yet to announce.
func (a *Attempt) GiveUp(number uint8, why error) bool {
	a.leaving.mu.Lock()
	x := a.leaving.at
	a.leaving.mu.Unlock()
	if x == nil || x.number != number {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended || x.settled || x.interrupted {
		return false
	}
	x.why = why
	x.interrupted = true
	x.c.interrupt()
	return true
}

// settle notes that the attempt must not be given up by GiveUp from now on, and whether because its answer has
// begun. It reports false if it has been given up.
func (x *call) settle(begun bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.settled = true
	x.begun = begun && !x.interrupted
	return x.why == nil
}

// givenUp returns why GiveUp has given the attempt up, nil if it has not.
func (x *call) givenUp() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.why
}
