package once

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// instant is a log that takes no time: what is left is what the client and the state machine need.
type instant struct {
	mu      sync.Mutex
	index   uint64
	machine *Machine
}

func (i *instant) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.index++
	return i.index, i.machine.Apply(i.index, time.Now(), cmd), nil
}

func (i *instant) Barrier(context.Context) error { return nil }

func benchClient(b *testing.B) (*Client, *instant) {
	news := new(News)
	log := &instant{machine: NewMachine(news)}
	c := New(Config{Log: log, Local: func() *Machine { return log.machine }, News: news,
		Run: "gossip-name-0123456789abcdef", Node: "node1",
		Ended: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }})
	b.Cleanup(func() { c.Close(context.Background()) })
	return c, log
}

// A lock that nobody else wants, beside others that are held.
func BenchmarkLockUnlock(b *testing.B) {
	for _, held := range []int{0, 1000} {
		b.Run(fmt.Sprintf("held=%d", held), func(b *testing.B) {
			c, _ := benchClient(b)
			for i := range held {
				if _, err := c.Lock(b.Context(), fmt.Sprint("held-", i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				l, err := c.Lock(b.Context(), "name")
				if err == nil {
					err = l.Unlock()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Many goroutines with a name each.
func BenchmarkLockUnlockParallel(b *testing.B) {
	c, _ := benchClient(b)
	var next atomic.Int64
	b.SetParallelism(500)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		name := fmt.Sprint("name-", next.Add(1))
		for pb.Next() {
			l, err := c.Lock(b.Context(), name)
			if err == nil {
				err = l.Unlock()
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A lock goes from hand to hand in a long line.
func BenchmarkHandOver(b *testing.B) {
	for _, waiters := range []int{1, 1000, 5_000} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			log := &instant{machine: NewMachine(new(News))}
			put := func(c state.Command) {
				if _, v, _ := log.Propose(b.Context(), c.Append(nil)); v[0] == byte(state.Full) {
					b.Fatal("full")
				}
			}
			put(state.Register{ID: "run#1", Node: "node1"})
			n := uint64(0)
			join := func() {
				n++
				put(state.Acquire{Owner: "run#1", Ticket: n, Name: "hot", Wait: true})
			}
			for range waiters {
				join()
			}
			b.ReportAllocs()
			for b.Loop() {
				join()
				put(state.Release{Owner: "run#1", Ticket: n - uint64(waiters)})
			}
		})
	}
}
