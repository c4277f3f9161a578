package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// What needs a level waits for a farm that forms, and is not refused because its level is still the first
// one; also where the farm has a leader, and a founder is missing yet.
func TestLevelOfAFarmThatForms(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		unformed(t, 3, durable, func(l *lab) {
			ofRelease(true, l.nodes...)
			for _, n := range l.nodes {
				n.conf.Join = n.everybody()
			}
			var wg sync.WaitGroup
			write := func(n *labNode) {
				n.start()
				wg.Go(func() { n.accepts("later", "append x 1") })
				wg.Go(func() { n.accepts("kv", "push x 1") })
			}
			write(l.nodes[0])
			write(l.nodes[1])
			time.Sleep(10 * time.Second)
			ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
			defer cancel()
			_, _, err := l.nodes[0].Handle("later").Propose(ctx, []byte("append x 1"))
			if errors.Is(err, ErrLevel) || !errors.Is(err, ErrNoLeader) {
				l.t.Errorf("while a founder is missing: %v", err)
			}
			write(l.nodes[2])
			wg.Wait()
			l.ready(l.nodes...)
		})
	}
}
