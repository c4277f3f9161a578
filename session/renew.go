package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// Renew gives the session a new token, commits what has been changed so far with it, and has the old token end: at one and the same
// index on all nodes. Call it whenever the visitor's rights grow, above all when somebody logs in: whoever knew the token
// before, or planted it, is left with nothing.
//
//	user.Set(ctx, name)
//	err := session.From(ctx).Renew(ctx)
//
// Values, and the time at which the session ends for good, stay. Other requests of the session that are on their way
// read what they found; what they change is dropped, they send no cookie, and their Done is closed. A session that this
// request has created, or will create, has a new token anyway: then Renew is a Save.
//
// Errors are those of Store.Do, ErrEnded, and ErrHeadersSent if the response has begun: then it cannot carry a token, and
// nothing has been done. After ErrUncertain either token may be the one that lives: destroy the session, or have the visitor
// log in again.
func (s *Session) Renew(ctx context.Context) error {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	s.accessed = true
	phase, fresh, closed := s.phase, s.newToken != "", s.settled || s.finished
	s.mu.Unlock()
	switch {
	case closed:
		return ErrHeadersSent
	case phase == ended:
		return ErrEnded
	case phase == anonymous || fresh:
		return s.save(ctx)
	}
	return s.renew(ctx)
}

// renew does so for a session whose token others may know. s.order is held.
func (s *Session) renew(ctx context.Context) error {
	m := s.m
	keyID, ok := m.signer.current()
	if !ok {
		return fmt.Errorf("%w: no key to sign tokens with yet", ErrStale)
	}
	sec := newSecret()
	next := sec.key()
	token, ok := m.signer.mintToken(sec, m.store.Status().Now, keyID) // first: afterwards there is no way back
	if !ok {
		return fmt.Errorf("%w: the key to sign tokens with is gone", ErrStale)
	}
	s.mu.Lock()
	b, old := s.sendLocked(), s.key
	s.mu.Unlock()
	s.renews(true)
	defer s.renews(false)
	a, err := m.rename(ctx, Renew{Key: old, New: next, Sets: b.sets, Deletes: b.deletes})
	if errors.Is(err, ErrUncertain) {
		a, err = m.renamed(ctx, next, b, err)
	}
	if err == nil {
		s.mu.Lock()
		s.key, s.newToken, s.wrote = next, token, max(s.wrote, a.Index)
		s.mu.Unlock()
	}
	err = s.committed(old, b, a, err, unchanged(err))
	if tooLarge(err) {
		s.dropChanges()
	}
	return err
}

// renamed looks whether a Renew whose outcome is uncertain was carried out. If it cannot be found out, or if it was not so far, the
// error stays: it may yet come.
func (m *Manager) renamed(ctx context.Context, next StoreKey, b batch, uncertain error) (Answer, error) {
	rec, ok, err := m.store.Load(context.WithoutCancel(ctx), next, Freshness{Newest: true, Wait: m.cfg.WaitTimeout,
		Timeout: min(readTimeout, m.cfg.CommitTimeout)})
	if err != nil || !ok {
		return Answer{}, uncertain
	}
	a := Answer{Index: rec.Mod}
	if len(b.sets) > 0 {
		_, a.Version, _ = rec.Value(b.sets[0].Name)
	}
	return a, nil
}

// rename carries a Renew out, in steps where there may be nodes whose program does not know it.
func (m *Manager) rename(ctx context.Context, c Renew) (Answer, error) {
	if m.store.Status().Level >= state.CommandsLevel {
		return m.do(ctx, c)
	}
	return m.renameInSteps(ctx, c)
}

// renameInSteps makes a copy and then ends the old session. What other requests change between the two is lost; so this is only
// for a farm that is being upgraded.
func (m *Manager) renameInSteps(ctx context.Context, c Renew) (Answer, error) {
	if _, err := m.do(ctx, Write{Key: c.Key, Sets: c.Sets, Deletes: c.Deletes}); err != nil {
		return Answer{}, err
	}
	rec, ok, err := m.store.Load(ctx, c.Key, Freshness{Newest: true, Wait: m.cfg.WaitTimeout, Timeout: readTimeout})
	switch {
	case err != nil:
		return Answer{}, err
	case !ok:
		return Answer{}, ErrEnded
	}
	next := Create{Key: c.New, Idle: rec.Idle, Absolute: rec.Created.Add(rec.Absolute).Sub(m.store.Status().Now)}
	for v := range rec.Values() {
		next.Values = append(next.Values, v.Entry)
	}
	a, err := m.do(ctx, next)
	if err != nil {
		return Answer{}, err
	}
	if d, err := m.do(ctx, Destroy{Key: c.Key}); err == nil {
		a.Index = d.Index
	} else if !errors.Is(err, ErrEnded) {
		return Answer{}, err
	}
	return a, nil
}
