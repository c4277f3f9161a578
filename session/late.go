package session

import (
	"context"
	"fmt"
	"time"
)

// spreadWait bounds how long a change that came too late for the header waits for the other nodes. They follow within
// milliseconds, or are in trouble.
const spreadWait = time.Second

// commitLate commits a value that was set after the header had been sent. If that fails, the request has not set it.
func (s *Session) commitLate(ctx context.Context, name string, edits int) error {
	ctx = context.WithoutCancel(ctx) // as for changes that go before the header
	s.order.Lock()
	err := s.commit(ctx)
	s.order.Unlock()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := s.findLocked(name); i >= 0 && s.changes[i].edits == edits {
			s.dropLocked(&s.changes[i])
		}
		return err
	}
	return s.carried(ctx)
}

// carried returns nil if the client reads on every node what this request has changed: because the response tells it the
// index, or because every node has the change. Else the error is an ErrLate.
func (s *Session) carried(ctx context.Context) error {
	s.mu.Lock()
	index, late := s.wrote, s.settled && s.wrote > s.carriedTo
	s.mu.Unlock()
	if !late {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, spreadWait)
	defer cancel()
	if err := s.m.store.Spread(ctx, index); err != nil {
		return fmt.Errorf("%w: %w", ErrLate, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carriedTo = max(s.carriedTo, index)
	return nil
}
