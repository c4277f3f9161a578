package farm_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// jobLog notes for which times jobs were run.
type jobLog struct {
	mu   sync.Mutex
	runs map[string][]time.Time
}

func (g *jobLog) job(_ context.Context, t once.Tick) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs[t.Job] = append(g.runs[t.Job], t.Time.UTC())
	return nil
}

// of returns the times of a job, in order.
func (g *jobLog) of(job string) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	times := slices.Clone(g.runs[job])
	slices.SortFunc(times, time.Time.Compare)
	return times
}

func (g *jobLog) handler(t *testing.T) func(f *farm.Farm) http.Handler {
	return func(f *farm.Farm) http.Handler {
		err := errors.Join(
			f.Every("all", once.Schedule{Cron: "* * * * *", Zone: "UTC", Missed: once.MissedAll, Overlap: once.OverlapQueue}, g.job),
			f.Every("paused", once.Schedule{Cron: "* * * * *", Zone: "UTC"}, g.job))
		if err != nil {
			t.Error(err)
		}
		return http.NotFoundHandler()
	}
}

func (g *jobLog) named(name string, jobs []once.Job) once.Job {
	for _, j := range jobs {
		if j.Name == name {
			return j
		}
	}
	return once.Job{}
}

// A farm whose nodes were all killed knows after their restart what it knew before, and runs what was missed.
// Slow: minutes of a farm of three with data directories.
func TestFarm_JobsOutliveAllNodes(t *testing.T) {
	g := &jobLog{runs: map[string][]time.Time{}}
	farmtest.Config{Nodes: 3, Durable: true, Handler: g.handler(t)}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		jobs := f.Nodes[0].Farm().Jobs()
		until(t, "the jobs are known", 10*time.Second, func() bool { return len(jobs.Jobs()) == 2 })
		if err := jobs.Pause(t.Context(), "paused", true); err != nil {
			t.Fatal(err)
		}
		migrated := 0
		migrate := func(n *farmtest.Node) error {
			return n.Farm().Once(t.Context(), "v1", func(context.Context, uint64) error { migrated++; return nil })
		}
		if err := migrate(f.Nodes[0]); err != nil {
			t.Fatal(err)
		}
		held, err := f.Nodes[1].Farm().Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		f.Settle()
		before := g.named("all", jobs.Jobs())
		for _, n := range f.Nodes {
			n.Kill()
		}
		time.Sleep(10 * time.Minute)
		for _, n := range f.Nodes {
			n.Restart()
		}
		f.Settle()
		jobs = f.Nodes[2].Farm().Jobs()
		until(t, "what was missed is run", time.Minute, func() bool {
			all := g.of("all")
			return len(all) > 0 && time.Since(all[len(all)-1]) < 2*time.Minute
		})
		all := g.of("all")
		for i, at := range all {
			if i > 0 && at.Sub(all[i-1]) != time.Minute {
				t.Errorf("%v comes after %v", at, all[i-1])
			}
		}
		if len(all) < 10 {
			t.Errorf("run at %v", all)
		}
		f.Settle()
		now := g.named("all", jobs.Jobs())
		if now.Claimed < before.Claimed+9 || now.MissedTimes != before.MissedTimes || len(now.Results) != 10 {
			t.Errorf("%+v, before %+v", now, before)
		}
		if !g.named("paused", jobs.Jobs()).Paused {
			t.Error("it is paused no more")
		}
		if err := migrate(f.Nodes[2]); err != nil || migrated != 1 {
			t.Errorf("%v; carried out %d times", err, migrated)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next, err := f.Nodes[0].Farm().Lock(ctx, "x")
		if err != nil || next.Fence() <= held.Fence() {
			t.Fatalf("%v; fence %d after %d", err, next.Fence(), held.Fence())
		}
		next.Unlock()
	})
}

// A farm in memory that begins anew has forgotten all, and its fences rise all the same.
func TestFarm_FencesRiseInAFarmThatBeginsAnew(t *testing.T) {
	farmtest.Run(t, 3, nil, func(t *testing.T, f *farmtest.Farm) {
		var last uint64
		for range 2 {
			for range 5 {
				l, err := f.Nodes[0].Farm().Lock(t.Context(), "x")
				if err != nil || l.Fence() <= last {
					t.Fatalf("%v; fence %d after %d", err, l.Fence(), last)
				}
				last = l.Fence()
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
			for _, n := range f.Nodes {
				n.Kill()
			}
			for _, n := range f.Nodes {
				n.Restart()
				time.Sleep(5 * time.Second)
			}
			f.Settle()
		}
	})
}

// A holder that is cut off has lost its lease when the majority's next one gets it, and the majority goes on
// with jobs. A second without a majority costs nobody a lease.
// Slow: minutes of a farm of three.
func TestFarm_LockInAPartition(t *testing.T) {
	g := &jobLog{runs: map[string][]time.Time{}}
	farmtest.Config{Nodes: 3, Handler: g.handler(t)}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		for round := range 2 {
			holder := f.Nodes[round]
			if round == 0 {
				holder = f.Leader()
			}
			other := f.Others(holder)[0]
			first, err := holder.Farm().Lock(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			f.Partition([]*farmtest.Node{f.Nodes[0]}, []*farmtest.Node{f.Nodes[1]}, []*farmtest.Node{f.Nodes[2]})
			time.Sleep(time.Second)
			f.Heal()
			time.Sleep(10 * time.Second)
			if err := first.Context().Err(); err != nil {
				t.Errorf("a second without a majority: %v", context.Cause(first.Context()))
			}
			f.Partition([]*farmtest.Node{holder})
			began := time.Now()
			second, err := other.Farm().Lock(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			if first.Context().Err() == nil || context.Cause(first.Context()) != once.ErrLost || second.Fence() <= first.Fence() {
				t.Errorf("after %v two hold it, with %d and %d", took, first.Fence(), second.Fence())
			}
			if took > 20*time.Second {
				t.Errorf("taken over after %v", took)
			}
			runs := len(g.of("all"))
			time.Sleep(3 * time.Minute)
			if more := len(g.of("all")) - runs; more < 2 || more > 4 {
				t.Errorf("%d runs in three minutes without %s", more, holder)
			}
			f.Heal()
			f.Settle()
			if err := first.Unlock(); err != once.ErrLost {
				t.Errorf("Unlock of what was lost: %v", err)
			}
			if err := second.Unlock(); err != nil {
				t.Error(err)
			}
		}
	})
}
