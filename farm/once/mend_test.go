package once

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A time that starts late because of Jitter is not one that was missed.
func TestJitterBeyondGrace(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var g ledger
		for _, n := range l.nodes {
			n.Every("j", Schedule{Cron: "0 * * * *", Zone: "UTC", Jitter: 10 * time.Minute}, func(_ context.Context, k Tick) error {
				g.note(n.run, k.Time)
				return nil
			})
		}
		time.Sleep(24*time.Hour + 20*time.Minute)
		g.mu.Lock()
		defer g.mu.Unlock()
		if j := l.nodes[0].Jobs()[0]; len(g.runs) != 24 {
			t.Errorf("%d of 24 times were run; %d missed", len(g.runs), j.MissedTimes)
		}
	})
}

func TestJitterBeyondPeriod(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		none := func(context.Context, Tick) error { return nil }
		err := l.nodes[0].Every("j", Schedule{Cron: "* * * * *", Zone: "UTC", Jitter: time.Minute}, none)
		if err == nil {
			t.Error("times that overtake each other are accepted")
		}
	})
}

// lossyLog loses the answers to the first commands: they are carried out, and nobody is told.
type lossyLog struct {
	Log
	left atomic.Int64
}

func (g *lossyLog) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	index, value, err := g.Log.Propose(ctx, cmd)
	if g.left.Add(-1) >= 0 {
		return 0, nil, fmt.Errorf("%w: its answer was lost", fault.ErrUncertain)
	}
	return index, value, err
}

// However often a node has to register before it hears that it has, there is one owner of it.
func TestRegisteredOnce(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		g := &lossyLog{Log: n.cfg.Log}
		g.left.Store(20)
		n.cfg.Log = g
		for range 20 {
			if _, err := n.TryLock(l.t.Context(), "x"); !errors.Is(err, fault.ErrUncertain) {
				t.Fatal(err)
			}
		}
		l.lock(n, "x")
		if owners := n.cfg.Local().Owners(); len(owners) != 1 {
			t.Errorf("owners %v", owners)
		}
	})
}

// A migration that goes on when its node closes is waited for, and is not said to be done if the log does not
// have it.
func TestOnceAtClose(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		result := make(chan error, 1)
		began := time.Now()
		go func() {
			result <- n.Once(l.t.Context(), "v2", func(context.Context, uint64) error {
				time.Sleep(time.Second)
				return nil
			})
		}()
		time.Sleep(100 * time.Millisecond)
		if err := n.Close(l.t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("closed after %v, while it ran", took)
		}
		if err := <-result; err == nil {
			t.Error("the migration counts as done, and the log does not know")
		}
	})
}

// Unlock returns when the lock is free, whoever calls it first.
func TestUnlockTwice(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		lease := l.lock(n, "x")
		l.cut(n)
		first := make(chan error, 1)
		go func() { first <- lease.Unlock() }()
		time.Sleep(time.Millisecond)
		if err := lease.Unlock(); err == nil {
			t.Error("the second Unlock succeeds, and the lock is held")
		}
		if err := <-first; err == nil {
			t.Error("the first Unlock succeeds, and the lock is held")
		}
		l.heal(n)
	})
}

// slowLog takes its time for each command.
type slowLog struct {
	Log
	by time.Duration
}

func (g slowLog) Propose(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	time.Sleep(g.by)
	return g.Log.Propose(ctx, cmd)
}

// A job whose times come faster than the farm takes commands is run all the same, late.
func TestJobOnASlowFarm(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var g ledger
		s := Schedule{Cron: "* * * * * *", Zone: "UTC", Missed: MissedAll, Overlap: OverlapQueue}
		for _, n := range l.nodes {
			n.cfg.Log = slowLog{n.cfg.Log, 1500 * time.Millisecond}
			n.Every("j", s, func(_ context.Context, k Tick) error {
				g.note(n.run, k.Time)
				return nil
			})
		}
		time.Sleep(5 * time.Minute)
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.runs) == 0 {
			t.Error("no time was run")
		}
	})
}

// Times that were missed when a release changed the schedule are run by the new program.
func TestMissedWhenTheScheduleChanges(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		var g ledger
		s := Schedule{Cron: "0 * * * *", Zone: "UTC", Missed: MissedAll, Overlap: OverlapQueue}
		run := func(_ context.Context, k Tick) error {
			g.note("one", k.Time)
			return nil
		}
		l.nodes[0].Every("j", s, run)
		time.Sleep(90 * time.Minute)
		l.nodes[0].Close(l.t.Context())
		time.Sleep(3 * time.Hour)
		s.Jitter = time.Second
		l.nodes[1].Every("j", s, run)
		time.Sleep(time.Hour)
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.runs) != 5 {
			t.Errorf("%d of 5 hours were run", len(g.runs))
		}
	})
}
