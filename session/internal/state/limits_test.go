package state

import (
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// Programs of the release before know nothing of Total: as long as no ChangeLimits is in the log, everything is as it was.
func TestWithoutChangeLimitsNothingIsNew(t *testing.T) {
	r := newRig(t)
	r.apply(SetLimits{Limits{Value: 100, Name: 10, Keys: 3, Session: 150, Sessions: 2}})
	r.apply(create(keyOf(1)))
	r.apply(create(keyOf(2)))
	r.want(Result{Status: TooLarge}, create(keyOf(3)))
	if b := snapshot(t, r.Machine); b[0] != 1 {
		t.Errorf("the snapshot has format %d", b[0])
	}
	r.apply(ChangeLimits{Limits: r.Limits()}) // malformed: no Total
	if b := snapshot(t, r.Machine); b[0] != 1 || r.LimitsVersion() != 0 {
		t.Errorf("a refused command: format %d, version %d", b[0], r.LimitsVersion())
	}
	limits := r.Limits()
	limits.Total = 1 << 20
	r.want(Result{Status: OK, Version: 6}, ChangeLimits{Limits: limits})
	r.want(Result{Status: Full}, create(keyOf(3)))
	if b := snapshot(t, r.Machine); b[0] != 2 || restored(t, b).Limits() != limits {
		t.Errorf("the snapshot has format %d and limits %+v", b[0], restored(t, b).Limits())
	}
}

// Of two that saw the same limits, one changes them.
func TestChangeLimitsIsCompareAndSet(t *testing.T) {
	r := newRig(t)
	r.want(Result{Status: OK, Version: 1}, ChangeLimits{0, withTotal(1 << 20)})
	r.want(Result{Status: Conflict, Version: 1}, ChangeLimits{0, withTotal(2 << 20)})
	r.want(Result{Status: OK, Version: 3}, ChangeLimits{1, withTotal(2 << 20)})
	r.index-- // a command of the same entry
	r.want(Result{Status: OK, Version: 4}, ChangeLimits{3, withTotal(3 << 20)})
	for _, total := range []int64{0, -1, 1<<50 + 1} {
		r.want(Result{Status: Malformed}, ChangeLimits{4, withTotal(total)})
	}
	if got := r.Limits(); got != withTotal(3<<20) {
		t.Errorf("limits %+v", got)
	}
}

// A full machine takes no new session, and serves those it has: they may grow into the last eighth, and whatever does not
// grow always works.
func TestFull(t *testing.T) {
	r := newRig(t)
	const total = 1 << 20
	r.apply(ChangeLimits{Limits: withTotal(total)})
	value := strings.Repeat("x", 8<<10)
	n := 0
	for ; ; n++ {
		if a := r.apply(create(keyOf(n), "v", value)); a.Status == Full {
			break
		} else if a.Status != OK {
			t.Fatal(a)
		}
	}
	if got, room := r.Bytes(), int64(total-total/8); got > room || got < room-10<<10 || n < 90 {
		t.Fatalf("%d sessions of %d bytes", n, got)
	}
	grown := 0
	for ; r.apply(Write{Key: keyOf(grown), Sets: entries("w", value)}).Status == OK; grown++ {
	}
	if got := r.Bytes(); got > total || got < total-10<<10 || grown < 5 {
		t.Fatalf("%d sessions have grown, %d bytes", grown, got)
	}
	last := keyOf(n - 1)
	r.want(Result{Status: Full}, Write{Key: last, Sets: entries("w", value)})
	r.want(Result{Status: Full}, CAS{Key: last, Name: "w", Value: []byte(value)})
	r.want(Result{Status: Full}, Renew{Key: last, New: keyOf(-1), Sets: entries("w", value)})
	r.holds(last, "v="+value)
	if a := r.apply(Write{Key: last, Sets: entries("v", strings.Repeat("y", 8<<10))}); a.Status != OK {
		t.Errorf("as much as before: %v", a.Status)
	}
	r.want(Result{Status: OK, Count: 1}, Touch{[]Key{last}})
	if a := r.apply(Take{last, "v"}); !a.Found {
		t.Error("a take was refused")
	}
	r.want(Result{Status: OK}, Destroy{last})
	if a := r.apply(create(keyOf(n), "v", "small")); a.Status != Full {
		t.Errorf("into the eighth of the others: %v", a.Status)
	}
	for i := range grown {
		r.apply(Destroy{keyOf(i)})
	}
	if a := r.apply(create(keyOf(n), "v", value)); a.Status != OK {
		t.Errorf("after others have ended: %v", a.Status)
	}
	if got := restored(t, snapshot(t, r.Machine)).Bytes(); got != r.Bytes() {
		t.Errorf("restored: %d bytes, want %d", got, r.Bytes())
	}
}

// What has ended costs memory for a while, so that coming and going all the time is bounded as well.
func TestGravesCount(t *testing.T) {
	r := newRig(t)
	r.apply(ChangeLimits{Limits: withTotal(100_000)})
	n := 0
	for ; n < 2000 && r.apply(create(keyOf(n))).Status == OK; n++ {
		r.apply(Destroy{keyOf(n)})
	}
	if n > 1100 || n < 1000 {
		t.Errorf("%d sessions came and went", n)
	}
	r.pass(TombstoneTTL)
	r.apply(Tick{})
	if r.Bytes() != 0 {
		t.Errorf("%d bytes of nothing", r.Bytes())
	}
	r.want(Result{Status: OK, Version: r.table.Load().nextVersion(r.index + 1)}, create(keyOf(n)))
}

// The key that a session had has ended at once; times, values and their versions go on.
func TestRenew(t *testing.T) {
	r := newRig(t)
	old, next := keyOf(1), keyOf(2)
	r.apply(create(old, "a", "1", "b", "2"))
	before, _ := r.Get(old)
	_, version, _ := before.Value("a")
	r.pass(time.Minute)
	r.want(Result{Status: OK, Version: 2}, Renew{Key: old, New: next, Sets: entries("user", "ann"), Deletes: []string{"b"}})
	r.gone(old)
	rec := r.holds(next, "a=1 user=ann")
	if _, v, _ := rec.Value("a"); v != version || !rec.Created.Equal(before.Created) || !rec.LastSeen.Equal(r.now) || rec.Mod != 2 ||
		rec.Absolute != before.Absolute || r.Len() != 1 {
		t.Errorf("%+v of %+v", rec, before)
	}
	if !r.Ended(old) || r.Ended(next) {
		t.Error("the old key has not ended for good")
	}
	r.want(Result{Status: Ended}, Write{Key: old, Sets: entries("a", "late")})
	r.want(Result{Status: Ended}, Renew{Key: old, New: keyOf(3)})
	r.want(Result{Status: Exists}, create(old))
	r.want(Result{Status: Exists}, Renew{Key: next, New: old})
	r.want(Result{Status: Exists}, Renew{Key: next, New: next})
	r.want(Result{Status: TooLarge}, Renew{Key: next, New: keyOf(3), Sets: entries("a", strings.Repeat("x", 17<<10))})
	r.want(Result{Status: OK}, Renew{Key: next, New: keyOf(3)})
	r.holds(keyOf(3), "a=1 user=ann")
	r.table.Load().check(t)
	r.pass(13 * time.Hour)
	r.want(Result{Status: Ended}, Renew{Key: keyOf(3), New: keyOf(4)})
}

// What Limits.Total counts is what the heap holds, within a fifth.
// Slow: hundreds of thousands of sessions are made.
func TestCostIsWhatItCosts(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector changes what memory holds")
	}
	for _, size := range []int{0, 200, 3000, 60_000} {
		n := min(100_000, 64<<20/(size+300))
		before := liveHeap()
		m := New()
		limits := withTotal(1 << 40)
		limits.Value, limits.Session = 64<<10, 64<<10
		m.Apply(1, epoch, ChangeLimits{Limits: limits}.Append(nil))
		var cmd []byte
		for i := range n {
			cmd = create(keyOf(i), "v", strings.Repeat("x", size)).Append(cmd[:0])
			m.Apply(uint64(i)+2, epoch, cmd)
		}
		per, counted := float64(liveHeap()-before)/float64(n), float64(m.Bytes())/float64(n)
		if m.Len() != n || per > 1.2*counted || per < 0.8*counted {
			t.Errorf("%d sessions with a value of %d bytes take %.0f bytes each, %.0f are counted", m.Len(), size, per, counted)
		}
		t.Logf("%d bytes: %.0f each, %.0f counted", size, per, counted)
	}
}
