package once

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ledger notes which runs of a job there were.
type ledger struct {
	mu   sync.Mutex
	runs map[time.Time][]string
}

func (g *ledger) note(node string, t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs == nil {
		g.runs = map[time.Time][]string{}
	}
	g.runs[t.UTC()] = append(g.runs[t.UTC()], node)
}

func TestEvery(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var g ledger
		for _, n := range l.nodes {
			err := n.Every("tick", Schedule{Cron: "*/5 * * * *", Zone: "UTC"}, func(ctx context.Context, tick Tick) error {
				if late := time.Since(tick.Time); late < 0 || late > time.Second {
					t.Errorf("%v late", late)
				}
				g.note(n.run, tick.Time)
				return ctx.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2*time.Hour + time.Minute)
		g.mu.Lock()
		defer g.mu.Unlock()
		nodes := map[string]int{}
		for at, by := range g.runs {
			if len(by) != 1 {
				t.Errorf("%v was run by %v", at, by)
			}
			nodes[by[0]]++
		}
		if len(g.runs) != 24 || len(nodes) != 3 {
			t.Errorf("%d times were run, by %v", len(g.runs), nodes)
		}
		a, b := l.nodes[0].Jobs(), l.nodes[2].Jobs()
		if len(a) != 1 || len(b) != 1 || !a[0].Next.Equal(b[0].Next) || len(a[0].Results) != 10 || len(a[0].Nodes) != 3 {
			t.Errorf("%+v and %+v", a, b)
		}
		if n := len(l.entries); n > 24*3+50 {
			t.Errorf("%d entries for 24 runs", n)
		}
	})
}

func TestSingleton(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		var mu sync.Mutex
		running, starts := map[string]uint64{}, 0
		for _, n := range l.nodes {
			n.Singleton("loop", func(ctx context.Context, fence uint64) error {
				mu.Lock()
				running[n.run] = fence
				starts++
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				delete(running, n.run)
				mu.Unlock()
				return nil
			})
		}
		one := func() string {
			mu.Lock()
			defer mu.Unlock()
			if len(running) != 1 {
				return ""
			}
			for n := range running {
				return n
			}
			return ""
		}
		l.until(time.Second, "one runs it", func() bool { return one() != "" })
		time.Sleep(time.Hour)
		if starts != 1 {
			t.Fatalf("%d starts", starts)
		}
		for _, n := range l.nodes {
			if n.run == one() {
				n.Retire()
				l.until(time.Second, "another runs it", func() bool { return one() != "" && one() != n.run })
				n.Resume()
				break
			}
		}
	})
}

// Each migration is carried out once, also where its end falls together with whatever else a node does.
func TestOnce(t *testing.T) {
	inLab(t, 3, func(l *lab) {
		for round := range 30 {
			name := fmt.Sprint("v", round)
			var wg sync.WaitGroup
			var ran atomic.Int64
			for _, n := range l.nodes {
				wg.Go(func() {
					err := n.Once(l.t.Context(), name, func(ctx context.Context, fence uint64) error {
						time.Sleep(time.Minute)
						ran.Add(1)
						return ctx.Err()
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if ran.Load() != 1 {
				t.Errorf("%s ran %d times", name, ran.Load())
			}
		}
	})
}
