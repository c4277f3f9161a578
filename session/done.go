package session

import "context"

// Done returns a channel that is closed when the session has ended, on whatever node that was: by Destroy, by
// time, or because another request has renewed it, since a token that was known before is worth nothing then.
// It is for what outlasts the visit otherwise: event streams and WebSockets. It is nil, and so never ready,
// if there is no session; one that this request begins later has a channel of its own. The request that
// renews its session keeps the channel.
//
// A node tells as soon as it knows: one that is out of contact, once it is back; an end by time, up to a
// quarter of a minute late. A request that lasts is one use of the session, however long it lasts, so a
// session of which nothing but a stream is left ends after Config.Idle. After the handler has returned the
// channel is not closed any more.
func (s *Session) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessed = true
	if e := s.endLocked(); e != nil {
		return e.ctx.Done()
	}
	return nil
}

// AfterDone calls f on a goroutine of its own when Done of the session of ctx's request is closed, unless stop
// comes first; see context.AfterFunc. Where there is no session it does nothing, and also where ctx is not
// that of a request behind Manager.Handler.
func AfterDone(ctx context.Context, f func()) (stop func() bool) {
	if s, ok := ctx.Value(sessionKey{}).(*Session); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.accessed = true
		if e := s.endLocked(); e != nil {
			return context.AfterFunc(e.ctx, f)
		}
	}
	return func() bool { return true }
}

// end is that of one session, as one request waits for it.
type end struct {
	ctx  context.Context // ends with the session
	come context.CancelFunc
	stop func() // stops watching the store; nil: it is not watched
}

// endLocked returns the end of the request's session; nil if it has none, or if the handler is over.
func (s *Session) endLocked() *end {
	if s.end != nil || s.phase == anonymous || s.finished {
		return s.end
	}
	s.end = &end{}
	s.end.ctx, s.end.come = context.WithCancel(context.Background())
	if s.phase == ended {
		s.end.come()
	}
	s.watchLocked()
	return s.end
}

// watchLocked has the store tell of the end, if somebody waits for it.
func (s *Session) watchLocked() {
	if e := s.end; e != nil && e.ctx.Err() == nil && !s.finished && !s.renewing {
		e.stop = s.m.store.Watch(s.key, max(s.record.Mod, s.wrote), e.come)
	}
}

// unwatchLocked has the store tell no more.
func (s *Session) unwatchLocked() {
	if e := s.end; e != nil && e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// overLocked notes that the session has ended.
func (s *Session) overLocked() {
	if s.end != nil {
		s.end.come()
		s.unwatchLocked()
	}
}

// renews says that this request is about to give its session another key, or has done so: that the old one
// ends is no end for it.
func (s *Session) renews(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewing = on; on {
		s.unwatchLocked()
	} else {
		s.watchLocked()
	}
}
