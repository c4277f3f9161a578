package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// As many commands leave as the credit has room for, and the last byte of it is good for one more, however
// large.
func TestCreditBoundsABatch(t *testing.T) {
	for _, c := range []struct {
		credit, aloft, queued load
		next                  int
		ready                 bool
	}{
		{load{100, 1 << 20}, load{}, load{1, 200}, 1, true},
		// better wait for the half that is under way
		{load{100, 1 << 20}, load{60, 600}, load{80, 800}, 40, false},
		{load{100, 1 << 20}, load{50, 500}, load{80, 800}, 50, true},
		{load{100, 1 << 20}, load{100, 1000}, load{80, 800}, 0, false},
		{load{5000, 1 << 20}, load{1000, 1000}, load{3000, 3000}, wire.MaxEntryCommands, true},
		{load{100, 1}, load{}, load{3, 300 << 10}, 1, true}, // large ones get through one by one
		{load{100, 1}, load{1, 100 << 10}, load{3, 300 << 10}, 0, false},
		{load{100, 250 << 10}, load{1, 100 << 10}, load{3, 300 << 10}, 2, true},
		{load{1, 1}, load{}, load{}, 0, false},
	} {
		f := flow{credit: c.credit, aloft: c.aloft, queued: c.queued}
		if next, ready := f.next(), f.ready(); next != c.next || ready != c.ready {
			t.Errorf("credit %+v, %+v under way, %+v queued: %d, %v; want %d, %v",
				c.credit, c.aloft, c.queued, next, ready, c.next, c.ready)
		}
	}
}

// What may wait is what has credit, and what is sent soon enough to be answered within a second. Where a turn
// takes as long as that, nothing waits for credit.
func TestRoomToWait(t *testing.T) {
	for _, c := range []struct {
		credit, aloft load
		size          int
		turn          time.Duration
		room          int
	}{
		{load{100, 1 << 20}, load{}, 200, 0, maxQueued.commands}, // nobody knows yet
		{load{100, 1 << 20}, load{100, 20000}, 200, 40 * time.Millisecond, 1000},
		{load{100, 1 << 20}, load{60, 12000}, 200, 40 * time.Millisecond, 1040},
		{load{100, 1 << 20}, load{100, 20000}, 200, 200 * time.Millisecond, 150},
		{load{100, 1 << 20}, load{100, 20000}, 200, 400 * time.Millisecond, 25}, // 100 ms are left
		{load{100, 1 << 20}, load{100, 20000}, 200, 500 * time.Millisecond, 0},
		{load{100, 1 << 20}, load{99, 19800}, 200, 4 * time.Second, 1},
		{load{100, 1 << 20}, load{100, 20000}, 200, time.Microsecond, maxQueued.commands},
		{load{100, 400 << 10}, load{4, 400 << 10}, 100 << 10, 100 * time.Millisecond, 16}, // four turns of four
		{load{100, 400 << 10}, load{3, 300 << 10}, 100 << 10, 4 * time.Second, 1},
		{load{100, 1}, load{}, 100 << 10, 4 * time.Second, 1}, // a large one gets through
		{load{100, 1}, load{1, 100 << 10}, 100 << 10, 4 * time.Second, 0},
		{load{1e6, 1 << 30}, load{1e6, 1 << 30}, 100 << 10, 250 * time.Millisecond, batchesInFlight},
	} {
		f := flow{credit: c.credit, aloft: c.aloft, queued: load{10, 10 * c.size}, turn: c.turn,
			heard: time.Now()}
		if got := f.room(); got != c.room {
			t.Errorf("credit %+v, %+v under way, %d B each, a turn of %v: room for %d, want %d", c.credit,
				c.aloft, c.size, c.turn, got, c.room)
		}
	}
	// the first answers come sooner than the later ones will
	now := time.Now()
	f := flow{credit: load{100, 1 << 20}, aloft: load{100, 20000}, queued: load{10, 2000},
		turn: 100 * time.Millisecond, opened: now, heard: now.Add(399 * time.Millisecond)}
	if got := f.room(); got != 150 {
		t.Errorf("after the first answers, in 100 ms, there is room for %d, want 150", got)
	}
	if f.heard = now.Add(400 * time.Millisecond); f.room() != 400 {
		t.Errorf("then there is room for %d, want 400", f.room())
	}
}

// After the leader has refused one, newcomers are refused where they are, for as long as an entry takes, and
// then they are sent again.
func TestShutAfterARefusal(t *testing.T) {
	now := time.Now()
	var f flow
	f.begin("leader")
	f.answered("leader", load{10, 1000}, 1, 2*time.Second, now)
	if !f.takes(10, 0, now) {
		t.Error("one that can leave at once was refused")
	}
	f.refused("leader", now)
	for _, c := range []struct {
		after time.Duration
		takes bool
	}{{0, false}, {499 * time.Millisecond, false}, {500 * time.Millisecond, true}} {
		if got := f.takes(10, 0, now.Add(c.after)); got != c.takes {
			t.Errorf("%v after a refusal, turns of 2 s: it takes one: %v", c.after, got)
		}
	}
	f.refused("leader", now)
	if f.begin("another"); !f.takes(10, 0, now) {
		t.Error("another leader, and one was refused")
	}
}

// Who would have to wait for too long is refused at once, and so are those who came last when the leader
// becomes slower. Nothing of them has left the node.
func TestRefusedAtOnce(t *testing.T) {
	o := newOriginator(nil, nil, nil)
	submit := func(patience time.Duration) *proposal {
		p := &proposal{cmd: make([]byte, 10), done: make(chan outcome, 1)}
		if patience > 0 {
			p.until = time.Now().Add(patience)
		}
		o.submit(p)
		return p
	}
	o.flow.begin("leader")
	o.flow.answered("leader", load{10, 1000}, 1, 40*time.Millisecond, time.Now())
	o.flow.opened = time.Time{} // some turns ago
	var ps []*proposal
	for range 10 {
		ps = append(ps, submit(0))
	}
	out := o.next()
	for range 100 {
		ps = append(ps, submit(0))
	}
	for i, p := range ps {
		if len(p.done) > 0 {
			t.Fatalf("proposal %d was refused: %v", i, (<-p.done).err)
		}
	}
	if p := submit(0); len(p.done) == 0 || !errors.Is((<-p.done).err, ErrOverloaded) {
		t.Error("one that waits for eleven turns was taken")
	}
	if len(out.ps) != 10 || o.flow.queued.commands != 100 {
		t.Fatalf("%d are under way, %d wait; want 10, 100", len(out.ps), o.flow.queued.commands)
	}
	o.flow.turn = 250 * time.Millisecond // the leader has become slower
	o.landed(out)
	if o.flow.queued.commands != 20 {
		t.Errorf("%d wait, want the 10 that have credit, and the 10 of one turn", o.flow.queued.commands)
	}
	for i, p := range ps[10:] {
		if refused := len(p.done) > 0; refused != (i >= 20) {
			t.Errorf("proposal %d of those that wait: refused %v", i, refused)
		} else if refused && !errors.Is((<-p.done).err, ErrOverloaded) {
			t.Errorf("proposal %d: another error", i)
		}
	}
	o.landed(o.next())
	if p := submit(300 * time.Millisecond); len(p.done) == 0 {
		t.Error("one was taken that waits for a turn, and has less time than it takes")
	}
	if out = o.next(); len(out.ps) != 10 || o.flow.queued.commands != 0 {
		t.Fatalf("%d are under way, %d wait; want 10, 0", len(out.ps), o.flow.queued.commands)
	}
	o.landed(out)
	if p := submit(300 * time.Millisecond); len(p.done) > 0 {
		t.Error("one that can leave at once was refused")
	}
	if p := submit(200 * time.Millisecond); len(p.done) == 0 {
		t.Error("one that cannot be answered in time was taken")
	}
	if p := submit(time.Minute); len(p.done) > 0 {
		t.Error("one that has time was refused")
	}
}

// A new connection, or a new leader, begins a new window; what the old one says counts no more.
func TestNewWindow(t *testing.T) {
	var f flow
	f.begin("a")
	f.answered("a", load{1000, 1 << 20}, 1, time.Second, time.Now())
	f.begin("a")
	if f.credit != (load{1000, 1 << 20}) || f.turn != time.Second {
		t.Errorf("the same connection: %+v", f)
	}
	f.begin("b")
	if f.credit != firstCredit || f.turn != 0 {
		t.Errorf("a new connection: %+v", f)
	}
	f.answered("a", load{1000, 1 << 20}, 1, time.Second, time.Now())
	if f.credit != firstCredit || f.turn != 0 {
		t.Errorf("the old connection, late: %+v", f)
	}
	now := time.Now()
	f.answered("b", load{1000, 1 << 20}, 1, time.Second, now)
	f.aloft, f.queued = load{100, 1000}, load{100, 1000}
	f.refused("a", now)
	f.missed("a", 50, 3*time.Second, now)
	if !f.takes(10, 0, now) || f.most() != 1000 || f.turn != time.Second {
		t.Errorf("the old connection refuses, and callers give it up: %+v", f)
	}
	f.aloft, f.queued = load{}, load{}
	if f.rest(now.Add(creditLasts / 2)); f.credit.commands != 1000 {
		t.Errorf("after a short rest: %+v", f)
	}
	if f.rest(now.Add(2 * creditLasts)); f.credit != firstCredit {
		t.Errorf("after a long rest: %+v", f)
	}
}

// Where callers give up before they are answered, less is sent at a time, until they are.
func TestLessForThoseWhoGiveUp(t *testing.T) {
	now := time.Now()
	f := flow{queued: load{1000, 10000}, aloft: load{100, 1000}}
	f.begin("a")
	f.answered("a", load{100, 1 << 20}, 50, 100*time.Millisecond, now)
	f.missed("a", 50, 200*time.Millisecond, now.Add(time.Second))
	f.missed("a", 50, 200*time.Millisecond, now.Add(time.Second)) // of the same turn
	if f.most() != 70 || f.turn <= 100*time.Millisecond {
		t.Errorf("%d may be under way, a turn takes %v", f.most(), f.turn)
	}
	// nobody has answered for a minute: that is not overload
	f.missed("a", 50, 200*time.Millisecond, now.Add(time.Minute))
	if f.most() != 70 {
		t.Errorf("after a minute's silence %d may be under way", f.most())
	}
	for range 20 {
		f.answered("a", load{100, 1 << 20}, 50, 100*time.Millisecond, now)
	}
	if f.most() != 100 {
		t.Errorf("after many answers %d may be under way", f.most())
	}
	f.begin("b") // a new leader, which is silent until its first entry is committed; the old one was not
	f.missed("b", 50, 200*time.Millisecond, now.Add(time.Millisecond))
	if f.most() != firstCredit.commands || f.turn != 0 || f.exhausted(now) {
		t.Errorf("a leader that has not answered yet: %+v", f)
	}
}

// An origin takes note of it when the callers of a batch have given up: then, and not when the leader has
// gone.
func TestGivingUpIsNoted(t *testing.T) {
	gaveUp, cancel := context.WithCancel(t.Context())
	cancel()
	for err, want := range map[error]int{context.Canceled: 70, wire.ErrNotLeader: 100} {
		o := &originator{wake: make(chan struct{}, 1)}
		o.flow.aloft = load{100, 1000}
		o.flow.begin("a")
		began := time.Now().Add(-200 * time.Millisecond)
		o.answered(gaveUp, "a", load{100, 1 << 20}, 50, began, nil)
		ctx := t.Context()
		if errors.Is(err, context.Canceled) {
			ctx = gaveUp
		}
		o.answered(ctx, "a", load{}, 50, began, err)
		if o.flow.most() != want {
			t.Errorf("%v: %d may be under way, and not %d", err, o.flow.most(), want)
		}
	}
}

// A program that knows no credits says so, certainly; it gets all by the call that it knows, as much as ever,
// and is asked once.
func TestLeaderThatGivesNoCredits(t *testing.T) {
	o := newOriginator(nil, nil, nil)
	offers, proposes := 0, 0
	old := way{
		via: "old",
		offer: func(context.Context, *wire.Batch) (leaderAnswer, wire.Credit, error) {
			offers++
			return leaderAnswer{}, wire.Credit{}, wire.CodeVersion.Err()
		},
		propose: func(context.Context, *wire.Batch) (leaderAnswer, error) {
			proposes++
			return leaderAnswer{Answer: wire.Answer{Index: 7}}, nil
		},
	}
	for i := range 3 {
		if a, err := o.send(t.Context(), old, wire.Batch{Count: 1}, true); err != nil || a.Index != 7 {
			t.Fatalf("batch %d: %+v, %v", i, a, err)
		}
	}
	if offers != 1 || proposes != 3 || o.flow.credit != plainCredit {
		t.Errorf("%d offers, %d proposed, credit %+v", offers, proposes, o.flow.credit)
	}
	if o.flow.rest(time.Now().Add(time.Hour)); o.flow.credit != plainCredit {
		t.Errorf("after a rest the credit is %+v", o.flow.credit)
	}
	young := old
	young.via, young.offer = "young", func(context.Context, *wire.Batch) (leaderAnswer, wire.Credit, error) {
		offers++
		return leaderAnswer{}, wire.Credit{Commands: 9, Bytes: 1 << 62}, nil
	}
	if _, err := o.send(t.Context(), young, wire.Batch{Count: 1}, true); err != nil {
		t.Fatal(err)
	}
	if offers != 2 || o.flow.credit != (load{9, maxQueued.bytes}) {
		t.Errorf("the next leader gives credits: %d offers, credit %+v", offers, o.flow.credit)
	}
	if _, err := o.send(t.Context(), young, wire.Batch{Count: 1}, false); err != nil || offers != 2 ||
		proposes != 4 {
		t.Errorf("what may have got through before must not be refused: %v, %d offers, %d proposed", err,
			offers, proposes)
	}
}

// A leader divides its credit among those who send, and forgets who does not.
func TestCreditIsDivided(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var i intake
		batch := func(origin uint64) *wire.Batch { return &wire.Batch{Origin: origin, Count: 1} }
		for n := range uint64(10) {
			if err := i.take(batch(n), true); err != nil {
				t.Fatal(err)
			}
		}
		want := func(n int) {
			t.Helper()
			i.take(batch(0), true)
			if c := creditOf(i.done(batch(0))); c.commands != allCredit.commands/n ||
				c.bytes != allCredit.bytes/n {
				t.Errorf("each of %d may have %+v under way", n, c)
			}
		}
		want(10)
		for n := range uint64(8) {
			i.done(batch(n))
		}
		want(10)
		time.Sleep(2 * activeFor)
		want(3) // two have not been answered yet
		i.done(batch(8))
		i.done(batch(9))
		time.Sleep(2 * activeFor)
		want(1)
		if i.taken != (load{}) {
			t.Errorf("%+v taken in when all was answered", i.taken)
		}
	})
}

// What waits at a leader is bounded: beyond that a fresh batch is refused, and one that may have got through
// before is not.
func TestLeaderTakesInOnlySoMuch(t *testing.T) {
	var i intake
	b := &wire.Batch{Origin: 1, Count: wire.MaxEntryCommands, Body: make([]byte, wire.MaxEntryBytes)}
	n := 0
	for ; i.take(b, true) == nil; n++ {
		if n > 1000 {
			t.Fatal("there is no bound")
		}
	}
	if full := loadOf(b); !i.taken.within(maxTaken) || i.taken.plus(full).within(maxTaken) {
		t.Errorf("%d were taken in: %+v", n, i.taken)
	}
	if err := i.take(b, true); wire.CodeOf(err) != wire.CodeOverloaded ||
		!errors.Is(wire.CodeOf(err).Err(), ErrOverloaded) {
		t.Errorf("refused by %v", err)
	}
	if err := i.take(b, false); err != nil {
		t.Errorf("one that comes again: %v", err)
	}
	i.done(b)
	i.done(b)
	if err := i.take(b, true); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
