package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// Who wants little gets it, and the others divide the rest equally.
func TestFairLevel(t *testing.T) {
	for _, c := range []struct {
		amount int
		wants  []int
		level  int
	}{
		{100, nil, 100},
		{100, []int{1}, 100},
		{100, []int{1000}, 100},
		{100, []int{60, 60}, 50},
		{100, []int{10, 20, 30}, 70}, // all get what they want; so much is left for the last one
		{100, []int{2, 1000, 2, 2}, 94},
		{100, []int{1000, 10, 30, 1000}, 30},
		{100, []int{1000, 10, 20, 1000}, 35},
		{2, []int{9, 9, 9, 9}, 0},
	} {
		if got := fairLevel(c.amount, slices.Clone(c.wants)); got != c.level {
			t.Errorf("%d among those who want %v: a level of %d, want %d", c.amount, c.wants, got, c.level)
		}
	}
}

// sender is an origin that sends as much as it may, one batch in each turn.
type sender struct {
	origin uint64
	credit wire.Credit
	batch  *wire.Batch // under way
}

// turn has the leader answer what is under way, and take in as much as it gives credit for then.
func (s *sender) turn(t *testing.T, i *intake) {
	t.Helper()
	if s.batch != nil {
		s.credit = i.done(s.batch)
	}
	s.batch = &wire.Batch{Origin: s.origin, Count: int(s.credit.Commands)}
	s.batch.Body = make([]byte, int(s.credit.Bytes)-s.batch.Size())
	if err := i.take(s.batch, true); err != nil {
		t.Fatal(err)
	}
}

// has reports whether a sender may have at least so much of all credit under way.
func (s *sender) has(percent int) bool {
	return load{allCredit.commands * percent / 100, allCredit.bytes * percent / 100}.within(creditOf(s.credit))
}

// What 19 origins with a write now and then leave goes to those that send much: to one of them at its first
// answer, and soon after another one began in halves. Then all begin at once, and have equal shares.
func TestCreditGoesToThoseWhoUseIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var i intake
		const turn, nodes = 50 * time.Millisecond, 20
		senders := make([]*sender, nodes)
		for k := range senders {
			senders[k] = &sender{origin: uint64(k), credit: wire.Credit{Commands: 1, Bytes: 100}}
		}
		now := 0
		round := func(busy int) {
			t.Helper()
			for k, s := range senders {
				switch {
				case k < busy:
					s.turn(t, &i)
				case now%(nodes/2) == k%(nodes/2):
					b := &wire.Batch{Origin: s.origin, Count: 1, Body: make([]byte, 100)}
					if err := i.take(b, true); err != nil {
						t.Fatal(err)
					}
					s.credit = i.done(b)
					if !s.has(5) {
						t.Fatalf("one that writes now and then may have %+v under way", s.credit)
					}
				}
			}
			given := load{}
			for _, o := range i.origins {
				given = given.plus(i.creditLocked(o))
			}
			if !given.within(allCredit.plus(allCredit)) {
				t.Fatalf("all together may have %+v under way", given)
			}
			now++
			time.Sleep(turn)
		}
		want := func(busy, percent int) {
			t.Helper()
			for _, s := range senders[:busy] {
				if !s.has(percent) {
					t.Errorf("each of %d may have %+v under way, want %d %%", busy, s.credit, percent)
				}
			}
		}
		for range 3 * nodes {
			round(0)
		}
		for range 2 {
			round(1)
		}
		want(1, 90)
		for range 3 {
			round(2)
		}
		want(2, 45)
		for range 2 {
			round(nodes)
		}
		want(nodes, 5)
		if !i.taken.within(allCredit) {
			t.Errorf("%+v is under way when all send much", i.taken)
		}
	})
}

// One node of twenty writes all the time, and the others twice a second: it gets through almost what it does
// when they are silent, and all their writes are served. With commands of 200 bytes a write of theirs may
// take the place of 256 of its commands, which is an entry, so that costs more.
func TestOneBusyNodeAmongMany(t *testing.T) {
	if !ci.Torture() {
		t.Skip("it takes minutes; make torture runs it")
	}
	for name, c := range map[string]struct {
		strain
		percent int // of what it gets through when the others are silent
	}{
		"small commands":  {strain{write: 50 * time.Millisecond, size: 200, writers: 4000}, 60},
		"medium commands": {strain{write: usualWrite, pace: usualPace, size: medium, writers: 400}, 80},
		"large commands":  {strain{write: usualWrite, pace: usualPace, size: large, writers: 100}, 80},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.strain
			s.nodes, s.patience, s.run = 20, time.Minute, 5*time.Second
			s.idlers = -1
			alone := s.under(t, s.writers)
			s.idlers = 500 * time.Millisecond
			beside := s.under(t, s.writers)
			t.Logf("the others are silent: %v", alone)
			t.Logf("they write now and then: %v", beside)
			if beside.acked < alone.acked*c.percent/100 {
				t.Errorf("%d were acknowledged, %d when the others are silent", beside.acked, alone.acked)
			}
			if len(beside.idlers) == 0 || beside.idlersFailed > 0 {
				t.Fatalf("%d writes of theirs were done, %d not", len(beside.idlers), beside.idlersFailed)
			}
			slowest := beside.idlers[len(beside.idlers)-1]
			if t.Logf("%d writes of theirs took up to %v", len(beside.idlers), slowest); slowest > time.Second {
				t.Errorf("one of theirs took %v", slowest)
			}
			for _, o := range []strained{alone, beside} {
				if o.broken != "" {
					t.Error(o.broken)
				}
			}
		})
	}
}
