package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
	"github.com/seed48eb2e21/webfarm/session/internal/state"
)

// DefaultLimits returns the limits of a Config that sets none: values of 16 KiB, names of 64 bytes, 64 values and 64 KiB in a
// session, 2^20 sessions, and 1 GiB of memory for all of them at each node.
func DefaultLimits() Limits {
	l := state.DefaultLimits()
	l.Total = state.DefaultTotal
	return l
}

// smallestTotal has room for a few sessions of any size.
const smallestTotal = 1 << 20

// limitsWithDefaults puts the defaults where l has 0.
func limitsWithDefaults(l Limits) Limits {
	d := DefaultLimits()
	for _, f := range [...]struct{ v, def *int }{{&l.Value, &d.Value}, {&l.Name, &d.Name}, {&l.Keys, &d.Keys},
		{&l.Session, &d.Session}, {&l.Sessions, &d.Sessions}} {
		if *f.v == 0 {
			*f.v = *f.def
		}
	}
	if l.Total == 0 {
		l.Total = d.Total
	}
	return l
}

func checkLimits(l Limits) error {
	if err := l.Check(); err != nil {
		return fmt.Errorf("session: Config.Limits.%w", err)
	}
	if l.Total < smallestTotal {
		return fmt.Errorf("session: Config.Limits.Total is %d: it must be %d at least", l.Total, smallestTotal)
	}
	return nil
}

// limitsWatch has the limits of this node's Config come into force in the whole farm. Each process sets them once at most, and only
// if others are in force: so of nodes that were told different ones the last to start decides, and they do not go on taking
// turns.
type limitsWatch struct {
	set    bool   // this process has set them, or found them to be as it wants
	warned uint64 // version of limits in force that were said to be others
}

func (m *Manager) watchLimits(ctx context.Context) {
	var w limitsWatch
	for sleep.For(ctx, time.Second+rand.N(2*time.Second)) { // by chance, so that it is one node as a rule who sets them
		m.lookAtLimits(ctx, &w)
	}
}

func (m *Manager) lookAtLimits(ctx context.Context, w *limitsWatch) {
	st, want := m.store.Status(), m.cfg.Limits
	switch {
	case st.Level < state.CommandsLevel:
	case st.Limits == want:
		w.set = true
	case !w.set:
		_, err := m.do(ctx, ChangeLimits{Version: st.LimitsVersion, Limits: want})
		if err != nil {
			m.cfg.Logger.Debug("session: limits", "err", err) // they are looked at again: perhaps another node was faster
			return
		}
		w.set = true
		if st.LimitsVersion > 0 {
			m.cfg.Logger.Info("session: this node has changed the limits for all nodes", "from", st.Limits, "to", want)
		}
	case w.warned != st.LimitsVersion:
		w.warned = st.LimitsVersion
		m.cfg.Logger.Warn("session: the limits in force are not those of this node's Config: a node that started later has others",
			"in force", st.Limits, "here", want)
	}
}

// roomFor says that there is no room for another session of values, as far as this node can tell. The store has the last word;
// but to ask it each time would have those who fill a farm fill its log as well.
func (m *Manager) roomFor(values []Entry) error {
	st := m.store.Status()
	total, size := st.Limits.Total, 0
	if st.LimitsVersion == 0 { // nodes of an older program may be there: each looks after itself
		total = m.cfg.Limits.Total
	}
	for i := range values {
		size += len(values[i].Name) + len(values[i].Value)
	}
	if st.Sessions < st.Limits.Sessions && st.Bytes+state.Cost(size) <= total-total/8 {
		return nil
	}
	m.full.note(m, st)
	return ErrFull
}

// roomToGrow says that there is no room for an existing session to take sets, where only this node looks after that: the store does as
// soon as it has a Total.
func (s *Session) roomToGrow(sets ...Entry) error {
	m, by := s.m, 0
	st := m.store.Status()
	if st.LimitsVersion > 0 || st.Bytes <= m.cfg.Limits.Total-m.cfg.Limits.Total/8 {
		return nil
	}
	s.mu.Lock()
	for i := range sets {
		by += len(sets[i].Name) + len(sets[i].Value)
		if old, _, ok := s.storedLocked(sets[i].Name); ok {
			by -= len(sets[i].Name) + len(old)
		}
	}
	s.mu.Unlock()
	if by <= 0 || st.Bytes+int64(by)+int64(by)/8 <= m.cfg.Limits.Total {
		return nil
	}
	m.full.note(m, st)
	return ErrFull
}

// fullEvery is how often a node says at most that there is no room.
const fullEvery = time.Minute

// fullLog says in the log that there is no room, at a bounded rate.
type fullLog struct {
	mu      sync.Mutex
	said    time.Time
	refused int // since then
}

func (f *fullLog) note(m *Manager, st Status) {
	if refused := f.count(time.Now()); refused > 0 { // said without the lock: the logger is code of the program
		m.cfg.Logger.Warn("session: no room for more: new sessions are refused (503), those that exist are served",
			"sessions", st.Sessions, "bytes", st.Bytes, "limits", st.Limits, "refused", refused)
	}
}

// count counts one that was refused. If that is to be said now, it returns how many were since it was said last.
func (f *fullLog) count(now time.Time) (say int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused++
	if f.said.IsZero() || now.Sub(f.said) >= fullEvery {
		say, f.said, f.refused = f.refused, now, 0
	}
	return say
}

// noteFull takes note of an answer of the store.
func (m *Manager) noteFull(err error) {
	if errors.Is(err, ErrFull) {
		m.full.note(m, m.store.Status())
	}
}
