package once

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// What users of other schedulers and locks have reported of them, tried here. Each names a report.

// restart closes a node's run, and starts the next one when it has been away.
func (l *lab) restart(n *labNode, away time.Duration) *labNode {
	l.t.Helper()
	if err := n.Close(l.context(time.Minute)); err != nil {
		l.t.Error(err)
	}
	time.Sleep(away)
	return l.start(n.name)
}

// every registers a job that notes its runs.
func (g *ledger) every(l *lab, n *labNode, s Schedule) {
	l.t.Helper()
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	err := n.Every("j", s, func(_ context.Context, k Tick) error {
		g.note(n.run, k.Time)
		return nil
	})
	if err != nil {
		l.t.Error(err)
	}
}

// once checks that each time of so many was run once.
func (g *ledger) once(t *testing.T, times int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for at, by := range g.runs {
		if len(by) != 1 {
			t.Errorf("%v was run by %v", at, by)
		}
	}
	if len(g.runs) != times {
		t.Errorf("%d times of %d were run", len(g.runs), times)
	}
}

// A deploy that falls on a time of a job loses none and doubles none, with one node that is away for a
// moment, and with three that are restarted one after the other (bensheldon/good_job#1484,
// sidekiq/sidekiq#6656).
func TestDeployWhenAJobIsDue(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		inLab(t, nodes, func(l *lab) {
			var g ledger
			for _, n := range l.nodes {
				g.every(l, n, Schedule{Cron: "* * * * *"})
			}
			now := append([]*labNode(nil), l.nodes...)
			time.Sleep(50 * time.Second)
			for i := range 30 { // each away from second 50 to second 15 of the next minute
				at := i % nodes
				now[at] = l.restart(now[at], 25*time.Second)
				g.every(l, now[at], Schedule{Cron: "* * * * *"})
				time.Sleep(35 * time.Second)
			}
			g.once(t, 30)
		})
	}
}

// A program that is restarted more often than its job is due runs that all the same (riverqueue/river#791,
// PostHog/posthog#42607).
func TestRestartsMoreOftenThanDue(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		var g ledger
		n := l.nodes[0]
		for range 12 * 60 / 7 {
			g.every(l, n, Schedule{Cron: "30 * * * *"})
			time.Sleep(7*time.Minute - 2*time.Second)
			n = l.restart(n, 2*time.Second)
		}
		g.once(t, 12)
	})
}

// Nothing runs because a program starts, or because its schedule is another one: only times that come are run
// (sibson/redbeat#81, celery/celery#2531).
func TestNothingRunsBecauseOfAStart(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		var g ledger
		n := l.nodes[0]
		time.Sleep(12 * time.Hour)
		for hour := range 6 {
			g.every(l, n, Schedule{Cron: fmt.Sprintf("0 %d * * *", 5+hour), Missed: Missed(hour % 2)})
			time.Sleep(10 * time.Minute)
			n = l.restart(n, time.Second)
		}
		g.once(t, 0)
	})
}

// A farm that was away for a night goes on with each of its jobs, whatever was missed
// (kubernetes/kubernetes#42649, k3d-io/k3d#523, celery/django-celery-beat#459).
func TestAwayForANight(t *testing.T) {
	const away, before, after = 12 * 60, 10, 10
	for missed, want := range map[Missed]int{
		MissedSkip: before + after, MissedLast: before + 1 + after, MissedAll: before + away + after,
	} {
		inLab(t, 1, func(l *lab) {
			var g ledger
			s := Schedule{Cron: "* * * * *", Missed: missed, Overlap: OverlapQueue, Grace: 10 * time.Second}
			g.every(l, l.nodes[0], s)
			time.Sleep(before*time.Minute + 30*time.Second)
			n := l.restart(l.nodes[0], away*time.Minute)
			g.every(l, n, s)
			time.Sleep(after*time.Minute + 10*time.Second)
			g.once(t, want)
		})
	}
}

// Programs of one farm may have jobs of their own: whoever has one runs it (riverqueue/river#342).
func TestProgramsWithJobsOfTheirOwn(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		var ran [4]atomic.Int64
		for i, n := range l.nodes {
			err := n.Every(fmt.Sprint("job ", i), Schedule{Cron: "* * * * *", Zone: "UTC"},
				func(context.Context, Tick) error { ran[i].Add(1); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour + time.Second)
		for i := range ran {
			if n := ran[i].Load(); n != 60 {
				t.Errorf("job %d ran %d times in an hour", i, n)
			}
		}
	})
}

// To give a lease back once more takes nothing from the next lease of the same node (etcd-io/etcd#22082).
func TestStaleUnlock(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		first := l.lock(n, "x")
		g := &lossyLog{Log: n.cfg.Log}
		n.cfg.Log = g
		g.left.Store(1)
		if err := first.Unlock(); !errors.Is(err, ErrUncertain) {
			t.Errorf("an Unlock whose answer is lost: %v", err)
		}
		second := l.lock(n, "x")
		for range 3 {
			first.Unlock()
			time.Sleep(time.Minute)
		}
		if err := second.Context().Err(); err != nil {
			t.Error(err)
		}
		if _, err := l.nodes[1].TryLock(l.context(time.Second), "x"); !errors.Is(err, ErrHeld) {
			t.Errorf("another node: %v", err)
		}
		second.Unlock()
	})
}

// Where the farm cannot be reached, each verb returns when its context ends, and says why (etcd-
// io/etcd#18082).
func TestVerbsWithoutAFarm(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		held := l.lock(n, "held")
		for _, known := range []bool{true, false} { // whether the farm knows this node
			if !known {
				n = l.add()
			}
			l.cut(n)
			for what, do := range map[string]func(context.Context) error{
				"Lock":    func(ctx context.Context) error { return second(n.Lock(ctx, "x")) },
				"TryLock": func(ctx context.Context) error { return second(n.TryLock(ctx, "y")) },
				"Once":    func(ctx context.Context) error { return n.Once(ctx, "m", loop) },
				"TryOnce": func(ctx context.Context) error { return n.TryOnce(ctx, "m", loop) },
				"Run":     func(ctx context.Context) error { return n.Run(ctx, "j") },
			} {
				ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Second)
				began := time.Now()
				err := do(ctx)
				cancel()
				if took := time.Since(began); took > 3*time.Second+10*time.Millisecond {
					t.Errorf("%s took %v", what, took)
				}
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNoLeader) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		began := time.Now()
		if err := held.Unlock(); err == nil || time.Since(began) > commandTimeout {
			t.Errorf("Unlock: %v after %v", err, time.Since(began))
		}
		l.heal(l.nodes[0])
		l.free(time.Minute)
	})
}

// One who waits, and is taken for dead meanwhile, stands in line again, and gets the lock (etcd-
// io/etcd#19597).
func TestWaiterTakenForDead(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		l.lock(b, "its own") // so that it is watched, and asked
		held := l.lock(a, "x")
		got := make(chan *Lease, 1)
		go func() { got <- l.lock(b, "x") }()
		time.Sleep(time.Second)
		l.cut(b)
		time.Sleep(time.Minute)
		if b.Stats().Replaced != 0 || len(l.truth.Owners()) != 1 {
			t.Errorf("it was not taken for dead: %v", l.truth.Owners())
		}
		l.heal(b)
		time.Sleep(10 * time.Second)
		select {
		case <-got:
			t.Error("two have it")
		default:
		}
		held.Unlock()
		l.until(time.Second, "it has the lock", func() bool { return len(got) == 1 })
		(<-got).Unlock()
	})
}

// A run that takes many times as long as the time to the next one goes on alone, and its job after it
// (HangfireIO/Hangfire#1960, quartznet/quartznet#1758).
func TestLongRun(t *testing.T) {
	for _, overlap := range []Overlap{OverlapSkip, OverlapQueue} {
		inLab(t, 3, func(l *lab) {
			var now, most, runs atomic.Int64
			for _, n := range l.nodes {
				err := n.Every("j", Schedule{Cron: "*/10 * * * *", Zone: "UTC", Overlap: overlap},
					func(ctx context.Context, _ Tick) error {
						most.Store(max(most.Load(), now.Add(1)))
						defer now.Add(-1)
						if runs.Add(1) == 1 && !sleep.For(ctx, 2*time.Hour) {
							return ctx.Err()
						}
						return nil
					})
				if err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(3*time.Hour + time.Second)
			j := l.nodes[0].Jobs()[0]
			if most.Load() != 1 || len(j.Running) != 0 || j.Results[0].Outcome != "succeeded" {
				t.Errorf("%d at one time: %+v", most.Load(), j)
			}
			if want := map[Overlap]int64{OverlapSkip: 6, OverlapQueue: 3 * 6}[overlap]; runs.Load() != want {
				t.Errorf("%v: %d runs, want %d", overlap, runs.Load(), want)
			}
		})
	}
}

// A job whose nodes were all killed in the middle of a run is not blocked by that run, which nobody ends
// (quartz-scheduler/quartz#1516, #145, #93).
func TestAllKilledInTheMiddle(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		s := Schedule{Cron: "* * * * *", Zone: "UTC"}
		work := func(ctx context.Context, _ Tick) error { <-ctx.Done(); return ctx.Err() }
		for round := range 5 {
			nodes := l.nodes[3*round:]
			for _, n := range nodes {
				if err := n.Every("j", s, work); err != nil {
					t.Fatal(err)
				}
			}
			l.until(90*time.Second, "it runs", func() bool {
				j := nodes[0].Jobs()
				return len(j) == 1 && len(j[0].Running) == 1 && len(j[0].Results) == round
			})
			for _, n := range nodes {
				l.kill(n)
			}
			time.Sleep(10 * time.Second)
			for _, n := range nodes {
				l.startAfter(n, round+1)
			}
		}
	})
}

// startAfter starts the next run of a node, whose runs are numbered.
func (l *lab) startAfter(n *labNode, round int) { l.start(fmt.Sprintf("%s-%d", n.name, round)) }

// A farm in which all is well warns of nothing, however many nodes are too late for each time
// (hibiken/asynq#449).
func TestNothingIsWarnedOf(t *testing.T) {
	none := func(context.Context, Tick) error { return nil }
	inLab(t, 7, func(l *lab) {
		for _, n := range l.nodes {
			err := errors.Join(
				n.Every("minutely", Schedule{Cron: "* * * * *", Zone: "UTC"}, none),
				n.Singleton("loop", func(ctx context.Context, _ uint64) error { <-ctx.Done(); return nil }))
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		for _, n := range l.nodes {
			if said := n.logged.about(""); len(said) > 0 {
				t.Errorf("%s: %q", n.name, said)
			}
		}
	})
}
