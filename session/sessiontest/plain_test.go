package sessiontest_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// plainStore is a store that owes nothing to the replicated state machine: maps, and a switch over the commands. A store
// over a database looks like it.
type plainStore struct {
	mu       sync.Mutex
	index    uint64
	lastTick time.Time
	sessions map[session.StoreKey]*plainSession
	ended    map[session.StoreKey]bool
	watchers map[*plainWatcher]bool
}

type plainWatcher struct {
	key   session.StoreKey
	ended func()
}

type plainSession struct {
	meta   session.Record // its fields only
	values map[string]session.Versioned
}

var plainLimits = session.Limits{Value: 1 << 10, Name: 64, Keys: 16, Session: 8 << 10, Sessions: 1000}

func newPlainStore() *plainStore {
	return &plainStore{sessions: map[session.StoreKey]*plainSession{}, ended: map[session.StoreKey]bool{},
		watchers: map[*plainWatcher]bool{}}
}

func (p *plainStore) Load(_ context.Context, key session.StoreKey, _ session.Freshness) (session.Record, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.openLocked(key)
	if s == nil {
		return session.Record{}, false, nil
	}
	var values []session.Versioned
	for _, v := range s.values {
		values = append(values, v)
	}
	rec, err := session.NewRecord(values)
	rec.Created, rec.LastSeen, rec.Mod = s.meta.Created, s.meta.LastSeen, s.meta.Mod
	rec.Idle, rec.Absolute = s.meta.Idle, s.meta.Absolute
	return rec, err == nil, err
}

func (p *plainStore) Spread(context.Context, uint64) error { return nil }

func (p *plainStore) Status() session.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return session.Status{Index: p.index, Now: time.Now(), LastTick: p.lastTick, Sessions: len(p.sessions), Limits: plainLimits, Level: 3}
}

// openLocked returns a session that has not ended.
func (p *plainStore) openLocked(key session.StoreKey) *plainSession {
	s := p.sessions[key]
	if s != nil && !time.Now().Before(s.meta.Deadline()) {
		p.endLocked(key)
		s = nil
	}
	return s
}

func (p *plainStore) endLocked(key session.StoreKey) {
	delete(p.sessions, key)
	p.ended[key] = true
	for w := range p.watchers {
		if w.key == key {
			delete(p.watchers, w)
			w.ended()
		}
	}
}

func (p *plainStore) Watch(key session.StoreKey, _ uint64, ended func()) (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.openLocked(key) == nil {
		ended()
		return func() {}
	}
	w := &plainWatcher{key, ended}
	p.watchers[w] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, w)
	}
}

func (p *plainStore) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	if err := ctx.Err(); err != nil {
		return session.Answer{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index++
	a := session.Answer{Index: p.index, Version: p.index}
	switch c := cmd.(type) {
	case session.Create:
		if p.sessions[c.Key] != nil || p.ended[c.Key] {
			return session.Answer{}, session.ErrConflict
		}
		s := &plainSession{meta: session.Record{Idle: c.Idle, Absolute: c.Absolute}}
		if err := s.change(p.index, c.Values, nil); err != nil {
			return session.Answer{}, err
		}
		s.meta.Created = s.meta.LastSeen
		p.sessions[c.Key] = s
	case session.Write:
		return a, p.changeLocked(c.Key, c.Sets, c.Deletes)
	case session.CAS:
		return p.casLocked(a, c)
	case session.Take:
		return p.takeLocked(a, c)
	case session.Destroy:
		if p.openLocked(c.Key) == nil {
			return session.Answer{}, session.ErrEnded
		}
		p.endLocked(c.Key)
	case session.Renew:
		return p.renewLocked(a, c)
	case session.Touch:
		for _, key := range c.Keys {
			if s := p.openLocked(key); s != nil {
				s.meta.LastSeen = time.Now()
			}
		}
	case session.Tick:
		p.lastTick = time.Now()
		for key := range maps.Clone(p.sessions) {
			p.openLocked(key)
		}
	}
	return a, nil
}

func (p *plainStore) changeLocked(key session.StoreKey, sets []session.Entry, deletes []string) error {
	s := p.openLocked(key)
	if s == nil {
		return session.ErrEnded
	}
	return s.change(p.index, sets, deletes)
}

func (p *plainStore) renewLocked(a session.Answer, c session.Renew) (session.Answer, error) {
	s := p.openLocked(c.Key)
	switch {
	case s == nil:
		return session.Answer{}, session.ErrEnded
	case p.sessions[c.New] != nil || p.ended[c.New]:
		return session.Answer{}, session.ErrConflict
	}
	if err := s.change(p.index, c.Sets, c.Deletes); err != nil {
		return session.Answer{}, err
	}
	p.endLocked(c.Key)
	p.sessions[c.New] = s
	return a, nil
}

func (p *plainStore) casLocked(a session.Answer, c session.CAS) (session.Answer, error) {
	s := p.openLocked(c.Key)
	if s == nil {
		return session.Answer{}, session.ErrEnded
	}
	if v, ok := s.values[c.Name]; v.Version != c.Version {
		return session.Answer{Index: a.Index, Value: v.Value, Found: ok, Version: v.Version}, session.ErrConflict
	}
	return a, s.change(p.index, []session.Entry{{Name: c.Name, Value: c.Value}}, nil)
}

func (p *plainStore) takeLocked(a session.Answer, c session.Take) (session.Answer, error) {
	s := p.openLocked(c.Key)
	if s == nil {
		return session.Answer{}, session.ErrEnded
	}
	v, ok := s.values[c.Name]
	a.Value, a.Found, a.Version = v.Value, ok, v.Version
	if !ok {
		return a, nil
	}
	return a, s.change(p.index, nil, []string{c.Name})
}

// change replaces the values by changed ones, or fails and leaves them alone.
func (s *plainSession) change(version uint64, sets []session.Entry, deletes []string) error {
	next := maps.Clone(s.values)
	if next == nil {
		next = map[string]session.Versioned{}
	}
	for _, name := range deletes {
		delete(next, name)
	}
	for _, e := range sets {
		e.Value = append([]byte{}, e.Value...)
		next[e.Name] = session.Versioned{Entry: e, Version: version}
	}
	size := 0
	for name, v := range next {
		size += len(name) + len(v.Value)
		if len(v.Value) > plainLimits.Value || len(name) > plainLimits.Name {
			return session.ErrTooLarge
		}
	}
	if len(next) > plainLimits.Keys || size > plainLimits.Session {
		return session.ErrTooLarge
	}
	s.values, s.meta.LastSeen, s.meta.Mod = next, time.Now(), version
	return nil
}

// The suite is for stores from elsewhere too: they need nothing but the package's exported names.
func TestPlainStore(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store { return newPlainStore() })
}

// hastyStore carries out what it can no longer say the outcome of, and says that its context has ended, too: the replicated
// store does so, if a command is on its way when it looks at the context.
type hastyStore struct{ *plainStore }

func (h hastyStore) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	a, err := h.plainStore.Do(context.WithoutCancel(ctx), cmd)
	if ctx.Err() != nil {
		return session.Answer{}, fmt.Errorf("%w: %w", session.ErrUncertain, ctx.Err())
	}
	return a, err
}

// A store that does not know whether a command was carried out may say so, and why.
func TestHastyStore(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store { return hastyStore{newPlainStore()} })
}
