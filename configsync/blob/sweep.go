package blob

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Sweep removes the blobs that keep does not keep and that were not put, opened or asked for (Missing) for
// grace; since the store was opened, for those of an earlier process. It returns how many bytes became free: those of a
// small blob may do so later, together with others.
// keep is called without locks, at most once for each blob. What is damaged or gone and not kept is
// forgotten, too.
func (s *Store) Sweep(
	ctx context.Context, keep func(Hash) bool, grace time.Duration,
) (freed int64, err error) {
	var errs []error
	if err := s.retryPacks(); err != nil {
		errs = append(errs, err)
	}
	for _, h := range s.unused(grace) {
		if err := context.Cause(ctx); err != nil {
			return freed, err
		}
		if keep(h) {
			continue
		}
		n, err := s.sweep(h, grace)
		freed += n
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) == 3 {
			break
		}
	}
	n, err := s.reclaim(ctx)
	freed += n
	if err != nil {
		errs = append(errs, err)
	}
	for _, r := range s.Lost() {
		if !keep(r.Hash) {
			s.Forget(r.Hash)
		}
	}
	if len(errs) > 0 {
		return freed, fmt.Errorf("blob: sweep: %w", explain(errors.Join(errs...)))
	}
	return freed, nil
}

// unused returns the blobs that nobody wanted for so long.
func (s *Store) unused(grace time.Duration) []Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hashes []Hash
	for h, e := range s.index {
		if s.idleLocked(e, grace) {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

func (s *Store) idleLocked(e *entry, grace time.Duration) bool { return s.now().Sub(e.used) >= grace }

// sweep removes one blob, unless somebody wants it by now.
func (s *Store) sweep(h Hash, grace time.Duration) (freed int64, err error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	e := s.index[h]
	if e == nil || s.closed || !e.durable() || !s.idleLocked(e, grace) {
		s.mu.Unlock()
		return 0, nil
	}
	delete(s.index, h)
	if e.pack != nil {
		e.pack.dead += e.size
		e.pack.live--
		s.counts.Swept++
		s.counts.SweptBytes += e.size
		s.mu.Unlock()
		return 0, nil
	}
	s.mu.Unlock()
	err = s.before("sweep")
	if err == nil {
		err = s.root.Remove(pathOf(h))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !isGone(err) {
		if s.index[h] == nil {
			s.index[h] = e // it is still there
			return 0, err
		} // else it is being written anew, over what is there
	}
	s.used -= e.size
	s.counts.Swept++
	s.counts.SweptBytes += e.size
	return e.size, nil
}
