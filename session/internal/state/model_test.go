package state

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "of TestModel; 0 = a few fixed ones")

// model says in the plainest way what a machine should do. It knows nothing of pages, lists, or bytes.
type model struct {
	now      time.Time
	sessions map[Key]*modelSession
	ended    map[Key]time.Time
	endings  []time.Time // of all sessions ever
	version  uint64
	limits   Limits
	changed  uint64 // version of the limits
}

type modelSession struct {
	created, seen  time.Time
	idle, absolute time.Duration
	mod            uint64
	values         map[string]modelValue
}

type modelValue struct {
	value   string
	version uint64
}

func (s *modelSession) deadline() time.Time {
	idle, absolute := s.seen.Add(s.idle+Granularity(s.idle)), s.created.Add(s.absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

func (m *model) alive(key Key) *modelSession {
	if s := m.sessions[key]; s != nil && s.deadline().After(m.now) {
		return s
	}
	return nil
}

func (m *model) buried(key Key) bool {
	at, ok := m.ended[key]
	return ok && m.now.Before(at.Add(TombstoneTTL))
}

// fits judges a session that has just been given something.
func (m *model) fits(values map[string]modelValue) bool {
	size := 0
	for name, v := range values {
		size += len(name) + len(v.value)
	}
	return len(values) <= m.limits.Keys && size <= m.limits.Session
}

func (m *model) set(values map[string]modelValue, sets []Entry, version uint64) bool {
	last := make(map[string]string)
	for _, e := range sets {
		last[e.Name] = string(e.Value)
	}
	for name, value := range last {
		if len(name) > m.limits.Name || len(value) > m.limits.Value {
			return false
		}
		values[name] = modelValue{value, version}
	}
	return len(last) == 0 || m.fits(values)
}

func (s *modelSession) cost() int64 {
	var b blob
	for name, v := range s.values {
		b = b.append([]byte(name), v.version, []byte(v.value))
	}
	return Cost(len(b))
}

// bytes adds everything up anew.
func (m *model) bytes() (n int64) {
	for _, s := range m.sessions {
		n += s.cost()
	}
	for _, at := range m.endings {
		if at.Unix() > m.now.Unix()-int64(TombstoneTTL.Seconds()) {
			n += graveCost
		}
	}
	return n
}

func (m *model) apply(index uint64, now time.Time, c command) Result {
	m.now = now
	version := max(m.version+1, index)
	switch c := c.(type) {
	case Create:
		if m.sessions[c.Key] != nil || m.buried(c.Key) {
			return Result{Status: Exists}
		}
		s := &modelSession{now, now, c.Idle, c.Absolute, index, map[string]modelValue{}}
		if !m.set(s.values, c.Values, version) {
			return Result{Status: TooLarge}
		}
		if len(m.sessions) >= m.limits.Sessions || m.changed > 0 && m.bytes()+s.cost() > m.limits.Total-m.limits.Total/8 {
			if m.changed == 0 {
				return Result{Status: TooLarge}
			}
			return Result{Status: Full}
		}
		m.sessions[c.Key], m.version = s, version
		delete(m.ended, c.Key)
		return Result{Status: OK, Version: version}
	case Write:
		return m.change(index, c.Key, c.Sets, c.Deletes, 0)
	case CAS:
		s := m.alive(c.Key)
		if s == nil {
			return Result{Status: Ended}
		}
		if v, ok := s.values[c.Name]; v.version != c.Version {
			return Result{Status: Conflict, Found: ok, Version: v.version, Value: []byte(v.value)}
		}
		return m.change(index, c.Key, []Entry{{c.Name, c.Value}}, nil, 0)
	case Take:
		s := m.alive(c.Key)
		if s == nil {
			return Result{Status: Ended}
		}
		v, ok := s.values[c.Name]
		if !ok {
			return Result{Status: OK}
		}
		m.change(index, c.Key, nil, []string{c.Name}, 0)
		return Result{Status: OK, Found: true, Version: v.version, Value: []byte(v.value)}
	case Destroy:
		if m.alive(c.Key) == nil {
			return Result{Status: Ended}
		}
		m.end(c.Key)
		return Result{Status: OK}
	case Touch:
		answer := Result{Status: OK}
		for _, key := range c.Keys {
			if s := m.alive(key); s != nil {
				s.seen = now
				answer.Count++
			}
		}
		return answer
	case Tick:
		return m.tick(c)
	case SetLimits:
		total := m.limits.Total
		m.limits = c.Limits
		m.limits.Total = total
		return Result{Status: OK}
	case ChangeLimits:
		if c.Version != m.changed {
			return Result{Status: Conflict, Version: m.changed}
		}
		m.limits, m.changed = c.Limits, max(m.changed+1, index)
		return Result{Status: OK, Version: m.changed}
	case Renew:
		return m.renew(index, c)
	}
	panic("unreachable")
}

func (m *model) renew(index uint64, c Renew) Result {
	switch {
	case m.alive(c.Key) == nil:
		return Result{Status: Ended}
	case m.sessions[c.New] != nil || m.buried(c.New):
		return Result{Status: Exists}
	}
	got := m.change(index, c.Key, c.Sets, c.Deletes, graveCost)
	if got.Status != OK {
		return got
	}
	s := m.sessions[c.Key]
	s.mod = index
	m.end(c.Key)
	m.sessions[c.New] = s
	delete(m.ended, c.New)
	return got
}

func (m *model) change(index uint64, key Key, sets []Entry, deletes []string, more int64) Result {
	s := m.alive(key)
	if s == nil {
		return Result{Status: Ended}
	}
	values, version, changed := maps.Clone(s.values), max(m.version+1, index), len(sets) > 0
	for _, name := range deletes {
		_, ok := values[name]
		changed = changed || ok
		delete(values, name)
	}
	if !m.set(values, sets, version) {
		return Result{Status: TooLarge}
	}
	grown := &modelSession{values: values}
	if by := grown.cost() - s.cost() + more; by > 0 && m.changed > 0 && m.bytes()+by > m.limits.Total {
		return Result{Status: Full}
	}
	s.seen = m.now
	if !changed {
		return Result{Status: OK}
	}
	s.values, s.mod, m.version = values, index, version
	return Result{Status: OK, Version: version}
}

func (m *model) end(key Key) {
	delete(m.sessions, key)
	m.ended[key] = m.now
	m.endings = append(m.endings, m.now)
}

func (m *model) tick(c Tick) Result {
	var dead []Key
	for key := range m.sessions {
		if m.alive(key) == nil {
			dead = append(dead, key)
		}
	}
	slices.SortFunc(dead, func(a, b Key) int {
		x, y := m.sessions[a].deadline(), m.sessions[b].deadline()
		if n := x.Truncate(time.Minute).Compare(y.Truncate(time.Minute)); n != 0 {
			return n
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		if n := x.Compare(y); n != 0 {
			return n
		}
		return bytes.Compare(a[:], b[:])
	})
	limit := c.Limit
	if limit == 0 || limit > MaxExpire {
		limit = MaxExpire
	}
	n := min(limit, len(dead))
	for _, key := range dead[:n] {
		m.end(key)
	}
	return Result{Status: OK, Count: n, More: n < len(dead)}
}

// check compares a machine with the model at the log's time.
func (m *model) check(tb testing.TB, got *Machine, keys []Key) {
	tb.Helper()
	t := got.table.Load()
	if got.Len() != len(m.sessions) || got.Limits() != m.limits {
		tb.Fatalf("%d sessions, want %d", got.Len(), len(m.sessions))
	}
	if got.Bytes() != m.bytes() || got.LimitsVersion() != m.changed {
		tb.Fatalf("%d bytes, want %d; limits of version %d, want %d", got.Bytes(), m.bytes(), got.LimitsVersion(), m.changed)
	}
	for _, key := range keys {
		s, ok := t.get(key)
		want := m.sessions[key]
		if ok != (want != nil) || t.buried(key, m.now.UnixMilli()) != m.buried(key) {
			tb.Fatalf("session %x: there %v, want %v; ended %v", key[:3], ok, want, t.buried(key, m.now.UnixMilli()))
		}
		if want == nil {
			continue
		}
		rec := s.record()
		if !rec.Created.Equal(want.created) || !rec.LastSeen.Equal(want.seen) || rec.Idle != want.idle ||
			rec.Absolute != want.absolute || rec.Mod != want.mod || rec.Len() != len(want.values) ||
			!rec.Deadline().Equal(want.deadline()) {
			tb.Fatalf("session %x: %+v, want %+v", key[:3], rec, want)
		}
		for name, v := range want.values {
			if value, version, ok := rec.Value(name); !ok || string(value) != v.value || version != v.version {
				tb.Fatalf("session %x: %s = %q at %d, want %+v", key[:3], name, value, version, v)
			}
		}
	}
}

// dice throws random commands.
type dice struct {
	*rand.Rand
	keys  []Key
	total bool // ChangeLimits is among the commands
}

func (d dice) limits() Limits {
	return Limits{Value: 20 + d.IntN(20), Name: 1 + d.IntN(10), Keys: 2 + d.IntN(8), Session: 40 + d.IntN(100), Sessions: 20 + d.IntN(200)}
}

func (d dice) key() Key { return d.keys[d.IntN(len(d.keys))] }

func (d dice) name() string { return string(rune('a' + d.IntN(6))) }

func (d dice) value() []byte { return bytes.Repeat([]byte{byte(d.Int())}, d.IntN(30)*d.IntN(2)) }

func (d dice) entries() (out []Entry) {
	for range d.IntN(4) {
		out = append(out, Entry{d.name(), d.value()})
	}
	return out
}

func (d dice) duration() time.Duration {
	return time.Duration(1+d.IntN(600_000)) * time.Millisecond
}

func (d dice) command(m *model) command {
	switch n := d.IntN(100); {
	case n < 25:
		return Create{d.key(), d.duration(), 3 * d.duration(), d.entries()}
	case n < 50:
		w := Write{Key: d.key(), Sets: d.entries()}
		for range d.IntN(3) {
			w.Deletes = append(w.Deletes, d.name())
		}
		return w
	case n < 65:
		c := CAS{d.key(), d.name(), 0, d.value()}
		if s := m.sessions[c.Key]; s != nil && d.IntN(3) > 0 {
			c.Version = s.values[c.Name].version
		}
		return c
	case n < 75:
		return Take{d.key(), d.name()}
	case n < 78:
		return Destroy{d.key()}
	case n < 82:
		return Renew{d.key(), d.key(), d.entries(), []string{d.name()}}
	case n < 88:
		t := Touch{}
		for range d.IntN(5) {
			t.Keys = append(t.Keys, d.key())
		}
		return t
	case n < 98:
		return Tick{d.IntN(6)}
	case n < 99 || !d.total:
		return SetLimits{d.limits()}
	default:
		c := ChangeLimits{Version: m.changed, Limits: d.limits()}
		c.Limits.Total = m.bytes() + 1 + int64(d.IntN(9000))
		if d.IntN(4) == 0 {
			c.Version++
		}
		return c
	}
}

// Random commands against the model, on two machines of which one is, now and then, replaced by a restored one.
func TestModel(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if *seed != 0 {
		seeds = []uint64{*seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, rand.New(rand.NewPCG(seed, seed)), 6000, seed%2 == 0)
		})
	}
}

func runModel(t *testing.T, rng *rand.Rand, steps int, total bool) {
	d, answers := dice{Rand: rng, total: total}, map[Status]int{}
	for i := range 60 {
		key := keyOf(i)
		key[0] = byte(i % 7) // crowd the shards
		d.keys = append(d.keys, key)
	}
	m := &model{sessions: map[Key]*modelSession{}, ended: map[Key]time.Time{}, limits: DefaultLimits()}
	a, b := New(), New()
	index, now := uint64(0), epoch
	for step := range steps {
		if d.IntN(3) > 0 { // else at the index and time of the one before
			index += uint64(d.IntN(3))
			now = now.Add(time.Duration(d.IntN(8000)) * time.Millisecond)
		}
		index = max(index, 1)
		c := d.command(m)
		cmd := c.Append(nil)
		want := m.apply(index, now, c)
		answers[want.Status]++
		for _, machine := range []*Machine{a, b} {
			got, err := DecodeResult(machine.Apply(index, now, cmd))
			if err != nil || !same(got, want) {
				t.Fatalf("step %d: %+v: got %+v, want %+v, %v", step, c, got, want, err)
			}
		}
		if step%7 == 0 {
			m.check(t, a, d.keys)
			if !bytes.Equal(snapshot(t, a), snapshot(t, b)) {
				t.Fatalf("step %d: the machines differ", step)
			}
		}
		if d.IntN(50) == 0 {
			b = restored(t, snapshot(t, a))
			b.table.Load().check(t)
		}
	}
	a.table.Load().check(t)
	if total != (answers[Full] > 0) {
		t.Errorf("answers %v", answers)
	}
}
