package farm_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// whereabouts notes where singletons and jobs run.
type whereabouts struct {
	mu   sync.Mutex
	now  map[*farm.Farm]bool
	ran  map[time.Time]int
	runs map[*farm.Farm]int
}

func (w *whereabouts) singleton(f *farm.Farm) func(context.Context, uint64) error {
	return func(ctx context.Context, _ uint64) error {
		w.mu.Lock()
		w.now[f] = true
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.now, f)
		return nil
	}
}

func (w *whereabouts) job(f *farm.Farm) once.JobFunc {
	return func(_ context.Context, t once.Tick) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ran[t.Time.UTC()]++
		w.runs[f]++
		return nil
	}
}

// where returns the one node that runs the singleton, nil if there is none or several.
func (w *whereabouts) where() (only *farm.Farm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.now) == 1 {
		for f := range w.now {
			only = f
		}
	}
	return only
}

// A farm runs a singleton on one node, a job once at each of its times, and goes on with both when nodes are
// killed and stop.
func TestFarm_Jobs(t *testing.T) {
	w := &whereabouts{now: map[*farm.Farm]bool{}, ran: map[time.Time]int{}, runs: map[*farm.Farm]int{}}
	handler := func(f *farm.Farm) http.Handler {
		err := errors.Join(f.Singleton("loop", w.singleton(f)),
			f.Every("minutely", once.Schedule{Cron: "* * * * *", Zone: "UTC", Missed: once.MissedAll, Overlap: once.OverlapQueue},
				w.job(f)))
		if err != nil {
			t.Error(err)
		}
		return http.NotFoundHandler()
	}
	farmtest.Config{Nodes: 3, Durable: true, Handler: handler}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		began := time.Now()
		until(t, "one runs the singleton", 10*time.Second, func() bool { return w.where() != nil })
		for round := range 4 {
			time.Sleep(90 * time.Second)
			at := w.where()
			var n *farmtest.Node
			for _, n = range f.Nodes {
				if n.Farm() == at {
					break
				}
			}
			lost := time.Now()
			if round%2 == 0 {
				n.Kill()
				w.mu.Lock()
				delete(w.now, at) // its process is gone
				w.mu.Unlock()
			} else {
				n.Stop()
			}
			until(t, "another one runs the singleton", 10*time.Second, func() bool { return w.where() != nil && w.where() != at })
			t.Log("took over after", time.Since(lost))
			n.Restart()
			f.Settle()
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		for at, times := range w.ran {
			if times != 1 {
				t.Errorf("%v was run %d times", at, times)
			}
		}
		if want := int(time.Since(began) / time.Minute); len(w.ran) < want-1 || len(w.ran) > want+1 {
			t.Errorf("%d times were run in %d minutes", len(w.ran), want)
		}
	})
}

func until(t *testing.T, what string, limit time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is not yet so that %s", limit, what)
		}
	}
}

// A lock goes from node to node, and its fence rises, also when the farm in memory begins anew.
func TestFarm_Lock(t *testing.T) {
	farmtest.Run(t, 3, nil, func(t *testing.T, f *farmtest.Farm) {
		var last uint64
		for _, n := range append(f.Nodes, f.Nodes...) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			began := time.Now()
			l, err := n.Farm().Lock(ctx, "x")
			cancel()
			if err != nil || l.Fence() <= last {
				t.Fatalf("%v, fence %d after %d", err, l.Fence(), last)
			}
			last = l.Fence()
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
			t.Log("lock and unlock took", time.Since(began))
		}
	})
}

// The leases of a node that leaves have ended before it says goodbye, which frees them.
func TestFarm_LeaveWithALock(t *testing.T) {
	farmtest.Run(t, 3, nil, func(t *testing.T, f *farmtest.Farm) {
		leaver := f.Nodes[2]
		first, err := leaver.Farm().Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			second, err := f.Nodes[1].Farm().Lock(t.Context(), "x")
			if err != nil || first.Context().Err() == nil {
				t.Errorf("%v; the first lease lives", err)
				return
			}
			second.Unlock()
		})
		time.Sleep(10 * time.Second)
		if err := leaver.Farm().Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		leaver.Stop()
	})
}

// A drain waits for a job that runs, also where the program has a server of its own.
func TestFarm_DrainWaitsForJobs(t *testing.T) {
	var ended atomic.Bool
	handler := func(f *farm.Farm) http.Handler {
		f.Every("slow", once.Schedule{Cron: "* * * * *", Zone: "UTC"}, func(ctx context.Context, _ once.Tick) error {
			time.Sleep(10 * time.Second)
			ended.Store(ctx.Err() == nil)
			return ctx.Err()
		})
		return http.NotFoundHandler()
	}
	farmtest.Run(t, 1, handler, func(t *testing.T, f *farmtest.Farm) {
		n := f.Nodes[0]
		until(t, "the job runs", 2*time.Minute, func() bool {
			j := n.Farm().Jobs().Jobs()
			return len(j) == 1 && len(j[0].Running) == 1
		})
		if err := n.Farm().Drain(t.Context()); err != nil || !ended.Load() {
			t.Errorf("drained: %v; the job has ended well: %v", err, ended.Load())
		}
		n.Stop()
	})
}
