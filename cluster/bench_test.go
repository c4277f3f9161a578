package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPropose has writers spread over three nodes of one process write values of 200 bytes.
func BenchmarkPropose(b *testing.B) {
	for _, durable := range []bool{false, true} {
		nodes := benchFarm(b, durable)
		for _, writers := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("durable=%v/writers=%d", durable, writers), func(b *testing.B) {
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for w := range writers {
					h := nodes[(w+1)%len(nodes)].Handle("kv") // a single writer is on a follower
					cmd := fmt.Appendf(nil, "set k%d %0200d", w, w)
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if _, _, err := h.Propose(b.Context(), cmd); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func benchFarm(b *testing.B, durable bool) (nodes []*Node) {
	b.Helper()
	for i := range 3 {
		c := Config{Name: fmt.Sprintf("n%d", i+1), Logger: testLogger(),
			Machines: map[string]func() StateMachine{"kv": newKV}}
		if durable {
			c.Dir = b.TempDir()
		}
		if i > 0 {
			c.Join = []string{nodes[0].Addr()}
		}
		n, err := Open(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { n.Close() })
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.Ready(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	return nodes
}
