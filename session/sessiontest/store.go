package sessiontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
)

// TestStore tests that a store keeps the rules of session.Store. open returns a store with the default limits, ready for
// use; it may be the same one every time, and closes it with t.Cleanup. Run it with -race.
func TestStore(t *testing.T, open func(t *testing.T) session.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Create", testCreate},
		{"CreateTwice", testCreateTwice},
		{"Missing", testMissing},
		{"Write", testWrite},
		{"WriteIsOneChange", testWriteIsOneChange},
		{"KeepsNoMemory", testKeepsNoMemory},
		{"CAS", testCAS},
		{"CASCountsExactly", testCASCountsExactly},
		{"Take", testTake},
		{"TakeHasOneWinner", testTakeHasOneWinner},
		{"WritesOfDifferentNames", testWritesOfDifferentNames},
		{"Destroy", testDestroy},
		{"Renew", testRenew},
		{"Ends", testEnds},
		{"Touch", testTouch},
		{"Limits", testLimits},
		{"Index", testIndex},
		{"Order", testOrder},
		{"Spread", testSpread},
		{"Watch", testWatch},
		{"WatchStops", testWatchStops},
		{"Context", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &suite{t: t, store: open(t)}) })
	}
}

// suite is a store under test. Its methods fail the test where an error is not expected.
type suite struct {
	t     *testing.T
	store session.Store
}

func newKey() (k session.StoreKey) {
	rand.Read(k[:])
	return k
}

func (s *suite) create(values ...session.Entry) session.StoreKey {
	s.t.Helper()
	key := newKey()
	s.do(session.Create{Key: key, Idle: time.Hour, Absolute: 2 * time.Hour, Values: values})
	return key
}

func entry(name, value string) session.Entry { return session.Entry{Name: name, Value: []byte(value)} }

func (s *suite) do(cmd session.Command) session.Answer {
	s.t.Helper()
	a, err := s.store.Do(s.t.Context(), cmd)
	if err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
	return a
}

func (s *suite) refuse(cmd session.Command, want error) session.Answer {
	s.t.Helper()
	a, err := s.store.Do(s.t.Context(), cmd)
	if !errors.Is(err, want) {
		s.t.Fatalf("%T: error %v, want %v", cmd, err, want)
	}
	return a
}

func (s *suite) load(key session.StoreKey) (session.Record, bool) {
	s.t.Helper()
	rec, ok, err := s.store.Load(s.t.Context(), key, session.Freshness{Wait: time.Second, Timeout: 5 * time.Second})
	if err != nil {
		s.t.Fatalf("Load: %v", err)
	}
	return rec, ok
}

func (s *suite) present(key session.StoreKey) session.Record {
	s.t.Helper()
	rec, ok := s.load(key)
	if !ok {
		s.t.Fatal("Load: no session")
	}
	return rec
}

func (s *suite) absent(key session.StoreKey) {
	s.t.Helper()
	if _, ok := s.load(key); ok {
		s.t.Fatal("Load: a session where there is none")
	}
}

// holds checks that a session holds exactly these values, given as name, value, name, value.
func (s *suite) holds(key session.StoreKey, pairs ...string) {
	s.t.Helper()
	rec := s.present(key)
	var names []string
	for i := 0; i < len(pairs); i += 2 {
		names = append(names, pairs[i])
		v, version, ok := rec.Value(pairs[i])
		if !ok || string(v) != pairs[i+1] || version == 0 {
			s.t.Errorf("value %q = %q, version %d, %v; want %q", pairs[i], v, version, ok, pairs[i+1])
		}
	}
	slices.Sort(names)
	if got := slices.Collect(rec.Names()); !slices.Equal(got, names) {
		s.t.Errorf("names %q, want %q", got, names)
	}
}

func testCreate(t *testing.T, s *suite) {
	before := s.store.Status().Sessions
	key := s.create(entry("b", "2"), entry("a", "1"))
	s.holds(key, "a", "1", "b", "2")
	rec := s.present(key)
	if rec.Idle != time.Hour || rec.Absolute != 2*time.Hour {
		t.Errorf("idle %v, absolute %v", rec.Idle, rec.Absolute)
	}
	st := s.store.Status()
	if d := st.Now.Sub(rec.Created); d < 0 || d > time.Minute {
		t.Errorf("created %v before the store's time", d)
	}
	if !rec.LastSeen.Equal(rec.Created) {
		t.Errorf("last seen %v, created %v", rec.LastSeen, rec.Created)
	}
	if st.Sessions <= before {
		t.Errorf("%d sessions after one was created, %d before", st.Sessions, before)
	}
	s.holds(s.create())
}

func testCreateTwice(t *testing.T, s *suite) {
	key := s.create(entry("a", "1"))
	again := session.Create{Key: key, Idle: time.Hour, Absolute: time.Hour, Values: []session.Entry{entry("a", "2")}}
	s.refuse(again, session.ErrConflict)
	s.holds(key, "a", "1")
	s.do(session.Destroy{Key: key})
	s.refuse(again, session.ErrConflict)
	s.absent(key)
}

func testMissing(t *testing.T, s *suite) {
	key := newKey()
	s.absent(key)
	for _, cmd := range updates(key) {
		s.refuse(cmd, session.ErrEnded)
	}
	s.do(session.Touch{Keys: []session.StoreKey{key}})
	s.absent(key)
}

// updates returns one command of each kind that changes an existing session.
func updates(key session.StoreKey) []session.Command {
	return []session.Command{
		session.Write{Key: key, Sets: []session.Entry{entry("a", "1")}},
		session.Write{Key: key, Deletes: []string{"a"}},
		session.CAS{Key: key, Name: "a", Value: []byte("1")},
		session.Take{Key: key, Name: "a"},
		session.Destroy{Key: key},
	}
}

func testWrite(t *testing.T, s *suite) {
	key := s.create(entry("keep", "k"), entry("change", "1"), entry("delete", "d"))
	s.do(session.Write{Key: key, Sets: []session.Entry{entry("change", "2"), entry("new", "n")}, Deletes: []string{"delete", "none"}})
	s.holds(key, "keep", "k", "change", "2", "new", "n")
	s.do(session.Write{Key: key, Sets: []session.Entry{entry("new", "n2")}, Deletes: []string{"new"}})
	s.holds(key, "keep", "k", "change", "2", "new", "n2")
	s.do(session.Write{Key: key, Sets: []session.Entry{entry("empty", "")}})
	s.holds(key, "keep", "k", "change", "2", "new", "n2", "empty", "")
}

func testWriteIsOneChange(t *testing.T, s *suite) {
	key := s.create(entry("a", "0"), entry("b", "0"))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			v := fmt.Sprint(i)
			s.store.Do(s.t.Context(), session.Write{Key: key, Sets: []session.Entry{entry("a", v), entry("b", v)}})
		})
	}
	for range 200 {
		rec := s.present(key)
		a, _, _ := rec.Value("a")
		b, _, _ := rec.Value("b")
		if !bytes.Equal(a, b) {
			t.Errorf("half of a write is seen: %s and %s", a, b)
		}
	}
	wg.Wait()
}

func testKeepsNoMemory(t *testing.T, s *suite) {
	v := []byte("before")
	key := s.create(session.Entry{Name: "a", Value: v})
	copy(v, "after!")
	s.holds(key, "a", "before")
	rec := s.present(key)
	s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", "later")}})
	if v, _, _ := rec.Value("a"); string(v) != "before" {
		t.Errorf("a Record changed: %s", v)
	}
}

func testCAS(t *testing.T, s *suite) {
	key := s.create(entry("a", "1"))
	_, version, _ := s.present(key).Value("a")
	a := s.do(session.CAS{Key: key, Name: "a", Version: version, Value: []byte("2")})
	s.holds(key, "a", "2")
	if _, now, _ := s.present(key).Value("a"); now != a.Version || now <= version {
		t.Errorf("version %d after %d, the answer says %d", now, version, a.Version)
	}
	c := s.refuse(session.CAS{Key: key, Name: "a", Version: version, Value: []byte("3")}, session.ErrConflict)
	if string(c.Value) != "2" || !c.Found || c.Version != a.Version {
		t.Errorf("conflict: %q, %v, version %d; want 2, true, %d", c.Value, c.Found, c.Version, a.Version)
	}
	c = s.refuse(session.CAS{Key: key, Name: "b", Version: version, Value: []byte("3")}, session.ErrConflict)
	if c.Found || c.Version != 0 {
		t.Errorf("conflict with no value: %v, version %d", c.Found, c.Version)
	}
	s.do(session.CAS{Key: key, Name: "b", Value: []byte("new")})
	s.refuse(session.CAS{Key: key, Name: "b", Value: []byte("newer")}, session.ErrConflict)
	s.holds(key, "a", "2", "b", "new")

	// A value deleted and set again is another one, though it looks the same.
	s.do(session.Write{Key: key, Deletes: []string{"a"}})
	s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", "2")}})
	s.refuse(session.CAS{Key: key, Name: "a", Version: a.Version, Value: []byte("3")}, session.ErrConflict)
}

func testCASCountsExactly(t *testing.T, s *suite) {
	const workers, times = 8, 25
	key := s.create(entry("n", ""))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range times {
				v, version, _ := s.present(key).Value("n")
				for {
					a, err := s.store.Do(s.t.Context(), session.CAS{Key: key, Name: "n", Version: version, Value: append(bytes.Clone(v), '|')})
					if err == nil {
						break
					}
					if !errors.Is(err, session.ErrConflict) {
						t.Errorf("CAS: %v", err)
						return
					}
					v, version = a.Value, a.Version
				}
			}
		})
	}
	wg.Wait()
	if v, _, _ := s.present(key).Value("n"); len(v) != workers*times {
		t.Errorf("%d of %d changes are there", len(v), workers*times)
	}
}

func testTake(t *testing.T, s *suite) {
	key := s.create(entry("flash", "hello"), entry("other", "o"))
	if a := s.do(session.Take{Key: key, Name: "flash"}); !a.Found || string(a.Value) != "hello" {
		t.Errorf("took %q, %v", a.Value, a.Found)
	}
	s.holds(key, "other", "o")
	if a := s.do(session.Take{Key: key, Name: "flash"}); a.Found {
		t.Errorf("took %q twice", a.Value)
	}
}

func testTakeHasOneWinner(t *testing.T, s *suite) {
	for range 10 {
		key := s.create(entry("flash", "hello"))
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a, err := s.store.Do(s.t.Context(), session.Take{Key: key, Name: "flash"})
				if err != nil {
					t.Errorf("Take: %v", err)
				}
				if a.Found {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%d took the value", n)
		}
	}
}

func testWritesOfDifferentNames(t *testing.T, s *suite) {
	key := s.create()
	var wg sync.WaitGroup
	var want []string
	for i := range 16 {
		name := fmt.Sprintf("k%02d", i)
		want = append(want, name, name)
		wg.Go(func() {
			if _, err := s.store.Do(s.t.Context(), session.Write{Key: key, Sets: []session.Entry{entry(name, name)}}); err != nil {
				t.Errorf("Write: %v", err)
			}
		})
	}
	wg.Wait()
	s.holds(key, want...)
}

func testDestroy(t *testing.T, s *suite) {
	key, other := s.create(entry("a", "1")), s.create(entry("a", "1"))
	s.do(session.Destroy{Key: key})
	s.absent(key)
	for _, cmd := range updates(key) {
		s.refuse(cmd, session.ErrEnded)
	}
	s.do(session.Touch{Keys: []session.StoreKey{key, other}})
	s.absent(key)
	s.holds(other, "a", "1")
}

// A session goes on under another key, changed at the same moment, and has ended under the old one.
func testRenew(t *testing.T, s *suite) {
	if s.store.Status().Level < session.CommandLevel(session.Renew{}.Append(nil)) {
		t.Skip("the store does not know Renew")
	}
	key, other, next := s.create(entry("a", "1"), entry("b", "2")), s.create(entry("a", "1")), newKey()
	before := s.present(key)
	_, version, _ := before.Value("a")
	renewed := s.do(session.Renew{Key: key, New: next, Sets: []session.Entry{entry("user", "ann")}, Deletes: []string{"b"}})
	s.absent(key)
	s.holds(next, "a", "1", "user", "ann")
	rec := s.present(next)
	_, kept, _ := rec.Value("a")
	_, set, _ := rec.Value("user")
	if !rec.Created.Equal(before.Created) || rec.Idle != before.Idle || rec.Absolute != before.Absolute || rec.Mod != renewed.Index ||
		kept != version || set != renewed.Version {
		t.Errorf("%+v became %+v; versions %d and %d", before, rec, kept, set)
	}
	for _, cmd := range append(updates(key), session.Renew{Key: key, New: newKey()}) {
		s.refuse(cmd, session.ErrEnded)
	}
	s.refuse(session.Renew{Key: next, New: other}, session.ErrConflict)
	s.refuse(session.Renew{Key: next, New: key}, session.ErrConflict)
	big := session.Entry{Name: "big", Value: make([]byte, s.store.Status().Limits.Value+1)}
	s.refuse(session.Renew{Key: next, New: newKey(), Sets: []session.Entry{big}}, session.ErrTooLarge)
	s.refuse(session.Create{Key: key, Idle: time.Hour, Absolute: time.Hour}, session.ErrConflict)
	s.holds(next, "a", "1", "user", "ann")
	s.holds(other, "a", "1")
	s.do(session.Renew{Key: next, New: newKey()})
	s.absent(next)
}

func testEnds(t *testing.T, s *suite) {
	key := newKey()
	s.do(session.Create{Key: key, Idle: time.Hour, Absolute: 300 * time.Millisecond, Values: []session.Entry{entry("a", "1")}})
	deadline := time.Now().Add(20 * time.Second)
	for {
		s.do(session.Touch{Keys: []session.StoreKey{key}}) // no use puts the absolute end off
		if _, ok := s.load(key); !ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the session outlived its absolute end")
		}
	}
	for _, cmd := range updates(key) {
		s.refuse(cmd, session.ErrEnded)
	}
	for more := true; more; {
		more = s.do(session.Tick{}).More
	}
	if s.store.Status().LastTick.IsZero() {
		t.Error("no last Tick after a Tick")
	}
	s.absent(key)
	for _, cmd := range updates(key) {
		s.refuse(cmd, session.ErrEnded)
	}
}

func testTouch(t *testing.T, s *suite) {
	key := s.create(entry("a", "1"))
	before := s.present(key)
	deadline := time.Now().Add(20 * time.Second)
	for !s.present(key).LastSeen.After(before.LastSeen) { // times are whole milliseconds
		if time.Now().After(deadline) {
			t.Fatal("a touched session was not seen")
		}
		s.do(session.Touch{Keys: []session.StoreKey{newKey(), key}})
	}
	if rec := s.present(key); rec.Mod != before.Mod || !rec.Created.Equal(before.Created) {
		t.Errorf("a touch changed more than the time of last use: %+v, before %+v", rec, before)
	}
	s.holds(key, "a", "1")
}

func testLimits(t *testing.T, s *suite) {
	l := s.store.Status().Limits
	if l.Value <= 0 || l.Keys <= 0 || l.Session <= 0 || l.Name < 64 {
		t.Fatalf("limits %+v", l)
	}
	key := s.create(entry("a", "1"))
	big := session.Entry{Name: "big", Value: make([]byte, l.Value+1)}
	s.refuse(session.Write{Key: key, Sets: []session.Entry{entry("a", "2"), big}}, session.ErrTooLarge)
	s.refuse(session.CAS{Key: key, Name: big.Name, Value: big.Value}, session.ErrTooLarge)
	s.refuse(session.Create{Key: newKey(), Idle: time.Hour, Absolute: time.Hour, Values: []session.Entry{big}}, session.ErrTooLarge)
	var many []session.Entry
	for i := range l.Keys {
		many = append(many, entry(fmt.Sprintf("k%d", i), ""))
	}
	s.refuse(session.Write{Key: key, Sets: many}, session.ErrTooLarge)
	var full []session.Entry
	for i := range l.Session/l.Value + 1 {
		full = append(full, session.Entry{Name: fmt.Sprintf("k%d", i), Value: make([]byte, l.Value)})
	}
	s.refuse(session.Write{Key: key, Sets: full}, session.ErrTooLarge)
	s.holds(key, "a", "1")
	s.do(session.Write{Key: key, Sets: []session.Entry{{Name: "big", Value: make([]byte, l.Value)}}})
}

func testIndex(t *testing.T, s *suite) {
	key := newKey()
	last := s.do(session.Create{Key: key, Idle: time.Hour, Absolute: time.Hour}).Index
	changes := []session.Command{
		session.Write{Key: key, Sets: []session.Entry{entry("a", "1")}},
		session.CAS{Key: key, Name: "b", Value: []byte("1")},
		session.Take{Key: key, Name: "a"},
	}
	for _, cmd := range changes {
		a := s.do(cmd)
		if a.Index <= last {
			t.Errorf("%T: index %d after %d", cmd, a.Index, last)
		}
		last = a.Index
		rec, ok, err := s.store.Load(t.Context(), key, session.Freshness{Index: last, Wait: time.Second, Timeout: 5 * time.Second})
		if !ok || err != nil || rec.Mod != last {
			t.Errorf("%T: Load: %v, %v, mod %d, want %d", cmd, ok, err, rec.Mod, last)
		}
		if i := s.store.Status().Index; i < last {
			t.Errorf("%T: the store's index is %d, the command's %d", cmd, i, last)
		}
	}
}

// The indexes of answers order what they say, whichever answer comes first: that of a conflict and of a Take that finds nothing
// too. Versions of a value that is there only rise.
func testOrder(t *testing.T, s *suite) {
	key := newKey()
	last := s.do(session.Create{Key: key, Idle: time.Hour, Absolute: time.Hour, Values: []session.Entry{entry("a", "1")}})
	next := func(a session.Answer) {
		t.Helper()
		if a.Index <= last.Index {
			t.Errorf("index %d after %d", a.Index, last.Index)
		}
		last.Index = a.Index
	}
	rising := func(a session.Answer) {
		t.Helper()
		next(a)
		if a.Version <= last.Version {
			t.Errorf("version %d after %d", a.Version, last.Version)
		}
		last.Version = a.Version
	}
	rising(s.do(session.CAS{Key: key, Name: "a", Version: last.Version, Value: []byte("2")}))
	rising(s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", "3")}}))
	next(s.refuse(session.CAS{Key: key, Name: "a", Version: last.Version - 1, Value: []byte("4")}, session.ErrConflict))
	next(s.do(session.Take{Key: key, Name: "a"}))
	next(s.do(session.Take{Key: key, Name: "a"}))
	rising(s.do(session.CAS{Key: key, Name: "a", Value: []byte("again")}))
	next(s.do(session.Write{Key: key, Deletes: []string{"a"}}))
	rising(s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", "once more")}}))
}

// After Spread a Load need not be told the index.
func testSpread(t *testing.T, s *suite) {
	key := s.create(entry("a", "0"))
	for i := range 20 {
		v := fmt.Sprint(i)
		a := s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", v)}})
		if err := s.store.Spread(t.Context(), a.Index); err != nil {
			t.Fatalf("Spread: %v", err)
		}
		rec, ok, err := s.store.Load(t.Context(), key, session.Freshness{})
		if got, _, _ := rec.Value("a"); !ok || err != nil || string(got) != v {
			t.Fatalf("after Spread a Load says %q, %v, %v; want %s", got, ok, err, v)
		}
	}
}

// watch returns a channel that is closed when the store says that a session has ended. Twice is a panic.
func (s *suite) watch(key session.StoreKey) (ended chan struct{}, stop func()) {
	s.t.Helper()
	ended = make(chan struct{})
	return ended, s.store.Watch(key, s.present(key).Mod, func() { close(ended) })
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// told fails unless the store says so soon.
func (s *suite) told(what string, ended chan struct{}) {
	s.t.Helper()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		s.t.Fatalf("nobody was told of the end: %s", what)
	}
}

// Whoever watches is told of an end, in whatever way it comes, and of nothing else; who comes too late as well.
func testWatch(t *testing.T, s *suite) {
	kept := s.create(entry("a", "1"))
	keptEnd, stop := s.watch(kept)
	defer stop()
	for _, c := range []struct {
		name string
		end  func(session.StoreKey)
	}{
		{"Destroy", func(key session.StoreKey) { s.do(session.Destroy{Key: key}) }},
		{"Renew", func(key session.StoreKey) {
			if s.store.Status().Level >= session.CommandLevel(session.Renew{}.Append(nil)) {
				s.do(session.Renew{Key: key, New: newKey()})
			} else {
				s.do(session.Destroy{Key: key})
			}
		}},
		{"Tick", func(key session.StoreKey) {
			for deadline := time.Now().Add(time.Minute); ; {
				if _, ok := s.load(key); !ok {
					s.do(session.Tick{})
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("the session outlived its absolute end")
				}
			}
		}},
	} {
		key, absolute := newKey(), time.Hour
		if c.name == "Tick" {
			absolute = 500 * time.Millisecond
		}
		made := s.do(session.Create{Key: key, Idle: time.Hour, Absolute: absolute})
		one, two := make(chan struct{}), make(chan struct{})
		for _, ended := range []chan struct{}{one, two} {
			defer s.store.Watch(key, made.Index, func() { close(ended) })()
		}
		if c.name != "Tick" {
			last := s.do(session.Write{Key: key, Sets: []session.Entry{entry("a", "1")}})
			s.do(session.Touch{Keys: []session.StoreKey{key, kept}})
			s.present(key)
			if isClosed(one) || isClosed(two) {
				t.Errorf("%s: told of an end before it", c.name)
			}
			made = last
		}
		c.end(key)
		s.told(c.name, one)
		s.told(c.name, two)
		s.absent(key)
		late := make(chan struct{})
		defer s.store.Watch(key, made.Index, func() { close(late) })()
		s.told(c.name+", late", late)
	}
	if isClosed(keptEnd) {
		t.Error("told of an end of a session that lives")
	}
	s.holds(kept, "a", "1")
}

// Who has stopped is not told, and stops nobody else.
func testWatchStops(t *testing.T, s *suite) {
	key := s.create()
	left, stop := s.watch(key)
	stays, stopStays := s.watch(key)
	defer stopStays()
	stop()
	stop() // again
	s.do(session.Destroy{Key: key})
	s.told("of two, one left", stays)
	if isClosed(left) {
		t.Error("told after it had stopped")
	}
}

func testContext(t *testing.T, s *suite) {
	key := s.create(entry("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.store.Do(ctx, session.Write{Key: key, Sets: []session.Entry{entry("a", "2")}})
	switch {
	case err == nil:
		s.holds(key, "a", "2") // it may have been quicker than the look at the context; but then it is done
	case errors.Is(err, session.ErrUncertain): // whatever else it says: it may be done, or may be yet
	case errors.Is(err, context.Canceled), errors.Is(err, session.ErrNoLeader), errors.Is(err, session.ErrOverloaded):
		s.holds(key, "a", "1")
	default:
		t.Errorf("Do with an ended context: %v", err)
	}
}
