package once

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// free waits until nothing is held in the farm.
func (l *lab) free(within time.Duration) {
	l.t.Helper()
	l.until(within, "nothing is held", func() bool { return len(l.truth.Locks()) == 0 })
}

// A wait that ends at the moment of the grant ends in a lease or an error, and leaves nothing behind.
func TestGrantAtTheEndOfTheWait(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		leases := 0
		for i := range 200 {
			first := l.lock(l.nodes[0], "x")
			ctx, cancel := context.WithTimeout(l.t.Context(), time.Second+time.Duration(i%5)*time.Millisecond/2)
			time.AfterFunc(time.Second, func() { first.Unlock() })
			second, err := l.nodes[1].Lock(ctx, "x")
			cancel()
			if (second == nil) == (err == nil) {
				t.Fatalf("%v and %v", second, err)
			}
			if second != nil {
				leases++
				second.Unlock()
			}
			time.Sleep(100 * time.Millisecond)
			l.free(2 * Patience)
		}
		if leases == 0 || leases == 200 {
			t.Errorf("%d of 200 got it: the moment was missed", leases)
		}
	})
}

// Whoever waits is told when its node stops, and the next one gets the lock.
func TestCloseWhileWaiting(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		first := l.lock(l.nodes[0], "x")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if lease, err := l.nodes[1].Lock(l.t.Context(), "x"); lease != nil || !errors.Is(err, ErrClosed) {
					t.Errorf("%v, %v", lease, err)
				}
			})
		}
		wg.Go(func() { l.lock(l.nodes[2], "x").Unlock() })
		time.Sleep(time.Second)
		if err := l.nodes[1].Close(l.t.Context()); err != nil {
			t.Error(err)
		}
		first.Unlock()
		wg.Wait()
		l.free(time.Second)
		for what, err := range map[string]error{
			"Lock":      second(l.nodes[1].Lock(l.t.Context(), "x")),
			"Once":      l.nodes[1].Once(l.t.Context(), "m", loop),
			"Singleton": l.nodes[1].Singleton("s", loop),
			"Every":     l.nodes[1].Every("j", Schedule{Cron: "@daily", Zone: "UTC"}, noJob),
			"Close":     errors.Join(ErrClosed, l.nodes[1].Close(l.t.Context())),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s of a client that was closed: %v", what, err)
			}
		}
	})
}

// loop runs until it is to end, and noJob does nothing.
func loop(ctx context.Context, _ uint64) error { <-ctx.Done(); return nil }
func noJob(context.Context, Tick) error        { return nil }

// A function that is missing is noticed when it is registered, not when it is to run.
func TestNoFunction(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		n := l.nodes[0]
		for what, err := range map[string]error{
			"Every":     n.Every("j", Schedule{Cron: "@daily", Zone: "UTC"}, nil),
			"Singleton": n.Singleton("s", nil),
			"Once":      n.Once(l.t.Context(), "m", nil),
			"TryOnce":   n.TryOnce(l.t.Context(), "m", nil),
		} {
			if !errors.Is(err, errNoFunc) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func second(_ *Lease, err error) error { return err }

// What is carried out after its request was given up is given back, also by a node that does nothing else.
func TestAnswersLost(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a := l.nodes[0]
		l.change(func() { a.lossy = true })
		failed := 0
		for i := range 100 {
			lease, err := a.TryLock(l.context(10*time.Second), fmt.Sprint("x", i))
			if err == nil {
				lease.Unlock()
			} else if failed++; lease != nil {
				t.Error("a lease and an error")
			}
		}
		if failed < 20 {
			t.Errorf("%d answers were lost", failed)
		}
		l.heal(a)
		l.free(time.Minute)
	})
}

// A node that cannot see whether it is suspected is not sure of anything by an answer that it gets all the
// same.
func TestAnswerToOneThatIsLate(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		l.lock(a, "x").Unlock()
		o, _ := a.present(l.t.Context())
		before := o.sureUntil()
		l.change(func() { a.late = true })
		time.Sleep(time.Second)
		if _, err := b.do(l.t.Context(), state.Suspect{ID: o.id}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(l.t.Context(), Patience)
		defer cancel()
		if lease, err := a.Lock(ctx, "x"); lease != nil || !errors.Is(err, ErrUncertain) {
			t.Errorf("%v, %v", lease, err)
		}
		if now := o.sureUntil(); now.After(before) {
			t.Errorf("sure for %v more", now.Sub(before))
		}
		l.heal(a)
		l.free(time.Minute)
	})
}

// A context tells the truth by the clock alone, before anything that runs in the background was woken.
func TestErrLooksAtTheClock(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		held := l.lock(l.nodes[0], "x")
		o := &owner{c: l.nodes[0].Client, id: "asleep", until: time.Now().Add(time.Second), leases: map[*Lease]bool{},
			waiting: map[uint64]chan struct{}{}, leaving: map[uint64]bool{}, wake: make(chan struct{}, 1)}
		o.ctx, o.end = context.WithCancelCause(l.t.Context())
		lease := newLease(l.t.Context(), o, "x", 1, held.Fence(), nil) // nobody guards it
		time.Sleep(time.Second - time.Nanosecond)
		if err := lease.Context().Err(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		ctx := lease.Context()
		if ctx.Err() == nil || context.Cause(ctx) != ErrLost || lease.Unlock() != ErrLost {
			t.Errorf("%v, %v", ctx.Err(), context.Cause(ctx))
		}
		held.Unlock()
	})
}

// A run that was given to a node while it retires, and whose answer was lost, is run.
func TestRetireWhileAClaimIsUnderWay(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		n := l.nodes[0]
		var ran atomic.Int64
		s := Schedule{Cron: "* * * * * *", Zone: "UTC", Missed: MissedAll, Overlap: OverlapQueue}
		if err := n.Every("j", s, func(context.Context, Tick) error { ran.Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			time.Sleep(time.Second)
			l.change(func() { n.lossy = true })
			time.Sleep(time.Duration(990+i%20) * time.Millisecond)
			n.Retire()
			if i%3 == 0 {
				n.Resume()
				n.Retire()
			}
			l.heal(n)
			l.until(30*time.Second, "no run is left", func() bool {
				j := n.Jobs()[0]
				return len(j.Nodes) == 0 && len(j.Running) == 0
			})
			n.Resume()
		}
		l.until(30*time.Second, "it goes on", func() bool { return n.Jobs()[0].Next.After(l.truth.Now()) && n.Jobs()[0].Waiting == 0 })
		time.Sleep(100 * time.Millisecond)
		if j := n.Jobs()[0]; uint64(ran.Load()) != j.Claimed || j.MissedTimes+j.Skipped > 0 {
			t.Errorf("%d runs: %+v", ran.Load(), j)
		}
	})
}

// Functions that panic, or end their goroutine, have failed, and run again when it is time.
func TestFunctionsThatDoNotReturn(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		n := l.nodes[0]
		var loops, ticks atomic.Int64
		misbehave := func(i int64) error {
			switch i % 3 {
			case 0:
				panic("told to")
			case 1:
				runtime.Goexit()
			}
			return errors.New("told to")
		}
		n.Singleton("loop", func(context.Context, uint64) error { return misbehave(loops.Add(1)) })
		n.Every("tick", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(context.Context, Tick) error { return misbehave(ticks.Add(1)) })
		time.Sleep(10 * time.Minute)
		if loops := loops.Load(); loops < 10 || loops > 20 {
			t.Errorf("%d starts of a singleton that fails, in ten minutes", loops)
		}
		j := n.Jobs()[0]
		if ticks.Load() < 595 || len(j.Results) != 10 {
			t.Errorf("%d runs: %+v", ticks.Load(), j)
		}
		errs := fmt.Sprint(j.Results)
		for _, want := range []string{"panic: told to", "ended its goroutine", "failed told to"} {
			if !strings.Contains(errs, want) {
				t.Errorf("%q is not in %s", want, errs)
			}
		}
		for range 3 {
			if err := n.Once(l.t.Context(), "m", func(context.Context, uint64) error { return misbehave(loops.Add(1)) }); err == nil {
				t.Error("a migration that failed has succeeded")
			}
		}
	})
}

// A migration whose node was closed has not succeeded, whatever its function says. A job that was about to
// return has.
func TestCloseInTheMiddle(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		n := l.nodes[0]
		work := func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		}
		n.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(ctx context.Context, _ Tick) error { return work(ctx) })
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := n.Once(l.t.Context(), "m", func(ctx context.Context, _ uint64) error { return work(ctx) }); !errors.Is(err, ErrClosed) {
				t.Errorf("a migration that the farm does not know of: %v", err)
			}
		})
		time.Sleep(2 * time.Second)
		if err := n.Close(l.t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		time.Sleep(time.Second)
		if j := l.nodes[1].Jobs()[0]; len(j.Results) != 1 || j.Results[0].Outcome != "succeeded" || len(j.Running) != 0 {
			t.Errorf("%+v", j)
		}
		ran := false
		err := l.nodes[1].Once(l.t.Context(), "m", func(context.Context, uint64) error { ran = true; return nil })
		if err != nil || !ran {
			t.Errorf("%v, ran %v", err, ran)
		}
	})
}

// A function that does not heed its context holds Close up for no longer than Close's own, and nothing else.
func TestFunctionsThatDoNotHeedTheirContext(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		stop := make(chan struct{})
		a.Singleton("loop", func(context.Context, uint64) error { <-stop; return nil })
		a.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(context.Context, Tick) error { <-stop; return nil })
		var began atomic.Bool
		time.Sleep(2 * time.Second)
		b.Singleton("loop", func(ctx context.Context, _ uint64) error { began.Store(true); <-ctx.Done(); return nil })
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		a.Retire()
		if err := a.Idle(ctx); err == nil || !strings.HasPrefix(err.Error(), "once: 2 jobs and singletons still run") {
			t.Error(err)
		}
		if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		l.until(time.Second, "another one takes over", began.Load)
		close(stop)
	})
}

// Names are bytes. Each is a name of its own, and told as JSON can.
func TestOddNames(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		names := []string{"\x00", "\xff\xfe", "lock/", "/", "a/b", "#1", "\n", "ü", strings.Repeat("x", MaxName)}
		var leases []*Lease
		for _, name := range names {
			leases = append(leases, l.lock(l.nodes[0], name))
			if _, err := l.nodes[1].TryLock(l.t.Context(), name); !errors.Is(err, ErrHeld) {
				t.Errorf("%q: %v", name, err)
			}
			if err := l.nodes[0].Every(name, Schedule{Cron: "@hourly", Zone: "UTC"}, func(context.Context, Tick) error { return nil }); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			err := l.nodes[0].Every(name, Schedule{Cron: "@daily", Zone: "UTC"}, noJob)
			if err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("%q registered twice: %v", name, err)
			}
		}
		time.Sleep(time.Second)
		var back []Held
		b, err := json.Marshal(l.nodes[1].Locks())
		if err != nil || json.Unmarshal(b, &back) != nil || len(back) != len(names) || len(l.nodes[1].Jobs()) != len(names) {
			t.Errorf("%s, %v", b, err)
		}
		for i, lease := range leases {
			if lease.Name() != names[i] || lease.Unlock() != nil || lease.Unlock() != nil {
				t.Errorf("%q", names[i])
			}
		}
		for _, name := range []string{"", strings.Repeat("x", MaxName+1)} {
			for what, err := range map[string]error{
				"Lock": second(l.nodes[0].Lock(l.t.Context(), name)), "Once": l.nodes[0].Once(l.t.Context(), name, loop),
				"Run": l.nodes[0].Run(l.t.Context(), name), "Singleton": l.nodes[0].Singleton(name, loop),
			} {
				if err == nil {
					t.Errorf("%s takes a name of %d bytes", what, len(name))
				}
			}
		}
	})
}

// A new schedule counts when the last node with the old one has ended, also where that becomes known by a
// snapshot, of which nobody is told.
func TestOtherSchedule(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		inLab(t, 2, func(l *lab) {
			a, b := l.nodes[0], l.nodes[1]
			var ran sync.Map
			job := func(n *labNode) JobFunc {
				return func(_ context.Context, t Tick) error { ran.Store(t.Time.UTC(), n.run); return nil }
			}
			a.Every("j", Schedule{Cron: "*/10 * * * * *", Zone: "UTC"}, job(a))
			time.Sleep(time.Minute)
			b.Every("j", Schedule{Cron: "5-59/10 * * * * *", Zone: "UTC"}, job(b))
			time.Sleep(time.Minute + 2*time.Second) // a has claimed what was due, which b would do for it
			ran.Range(func(at, by any) bool {
				if by != a.run || at.(time.Time).Second()%10 != 0 {
					t.Errorf("%v by %v", at, by)
				}
				return true
			})
			ran.Clear()
			if n := len(b.logged.about("differently")); n != 1 {
				t.Errorf("it was told %d times", n)
			}
			time.Sleep(2 * time.Second) // nothing is due, and so nothing missed
			if quiet {
				l.cut(b)
			}
			if err := a.Close(l.t.Context()); err != nil {
				t.Error(err)
			}
			if quiet {
				time.Sleep(time.Second)
				l.change(func() { l.replaceLocked(b); b.cut = false })
			}
			time.Sleep(time.Minute)
			n := 0
			ran.Range(func(at, by any) bool {
				n++
				if by != b.run || at.(time.Time).Second()%10 != 5 {
					t.Errorf("%v by %v", at, by)
				}
				return true
			})
			if n < 4 {
				t.Errorf("%d runs in a minute", n)
			}
		})
	}
}

// An old backup is restored while all goes on: what is held by it ends, and fences and jobs go on.
func TestOldBackup(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		var backup []byte
		old := l.lock(a, "x")
		var w writer
		l.truth.Snapshot().WriteTo(&w)
		backup = w
		old.Unlock()
		fn := func(context.Context, Tick) error { return nil }
		if err := errors.Join(a.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, fn),
			b.Every("j", Schedule{Cron: "* * * * * *", Zone: "UTC"}, fn)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		last := l.lock(b, "x")
		l.change(func() {
			l.truth = NewMachine(new(News))
			if err := l.truth.Restore(strings.NewReader(string(backup))); err != nil {
				t.Error(err)
			}
			for _, n := range l.nodes {
				l.replaceLocked(n)
			}
		})
		l.until(Patience, "what is not there is not held", func() bool { return last.Context().Err() != nil })
		next := l.lock(l.nodes[2], "x") // which the backup says that a has
		if next.Fence() <= last.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), last.Fence())
		}
		l.until(time.Minute, "the job goes on", func() bool {
			jobs := a.Jobs()
			return len(jobs) == 1 && len(jobs[0].Nodes) == 2 && len(jobs[0].Results) == 10 && reflect.DeepEqual(jobs, b.Jobs())
		})
		next.Unlock()
		l.free(time.Minute)
	})
}

type writer []byte

// Write implements io.Writer.
func (w *writer) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }

// In a farm with programs that know no locks, Lock fails at once, and all that is registered begins by itself
// when they are gone. Meanwhile each says so once a minute.
func TestLevel(t *testing.T) {
	inLab(t, 1, func(l *lab) {
		n := l.nodes[0]
		l.change(func() { l.level = 3 })
		var loops, ticks atomic.Int64
		n.Singleton("loop", func(ctx context.Context, _ uint64) error { loops.Add(1); <-ctx.Done(); return nil })
		n.Every("tick", Schedule{Cron: "* * * * * *", Zone: "UTC"}, func(context.Context, Tick) error { ticks.Add(1); return nil })
		for range 60 {
			began := time.Now()
			if _, err := n.Lock(l.t.Context(), "x"); !errors.Is(err, ErrLevel) || time.Since(began) > time.Second {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			time.Sleep(10 * time.Second)
		}
		if said := n.logged.about("again"); len(said) < 18 || len(said) > 22 || len(n.logged.lines) != len(said) {
			t.Errorf("in ten minutes: %d lines, %q", len(n.logged.lines), said)
		}
		l.change(func() { l.level = 0 })
		l.until(10*time.Second, "both begin", func() bool { return loops.Load() == 1 && ticks.Load() > 0 })
	})
}

// Of those who wait, the preferred come first; one that comes later takes nothing away.
func TestPrefer(t *testing.T) {
	inLab(t, 4, func(l *lab) {
		var at atomic.Pointer[labNode]
		for _, i := range []int{3, 2, 1, 0} {
			n := l.nodes[i]
			err := n.Singleton("loop", func(ctx context.Context, _ uint64) error { at.Store(n); <-ctx.Done(); return nil },
				Node{Role: "role of n1", App: "another"}, Node{Role: "role of n2"}, Node{Role: "role of n1"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		for _, want := range []int{3, 1, 0, 2} {
			l.until(2*time.Second, fmt.Sprintf("n%d runs it", want+1), func() bool { return at.Load() == l.nodes[want] })
			time.Sleep(time.Minute)
			if at.Load() != l.nodes[want] {
				t.Errorf("it has gone to %s", at.Load().run)
			}
			if want != 2 {
				l.nodes[want].Retire()
			}
		}
	})
}

// A jitter that is longer than the grace leaves no time out.
func TestJitter(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		var mu sync.Mutex
		var late []time.Duration
		for _, n := range l.nodes {
			n.Every("j", Schedule{Cron: "*/5 * * * *", Zone: "UTC", Jitter: 3 * time.Minute, Grace: 10 * time.Second}, func(_ context.Context, t Tick) error {
				mu.Lock()
				defer mu.Unlock()
				late = append(late, time.Since(t.Time))
				return nil
			})
		}
		time.Sleep(4*time.Hour + 4*time.Minute)
		mu.Lock()
		defer mu.Unlock()
		var longest time.Duration
		for _, d := range late {
			if longest = max(longest, d); d < 0 || d > 3*time.Minute {
				t.Errorf("%v late", d)
			}
		}
		if len(late) != 48 || longest < 2*time.Minute {
			t.Errorf("%d runs, up to %v late", len(late), longest)
		}
	})
}
