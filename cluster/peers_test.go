package cluster

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestCallersDoNotWaitForOthersDials: whoever calls a member that does not answer waits as long as its own context says,
// however many dial it.
func TestCallersDoNotWaitForOthersDials(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		l.net.Partition([]string{leader.ip})
		others[0].peers.drop(leader.id)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				defer cancel()
				if _, err := others[0].peers.get(ctx, leader.id); err == nil {
					t.Error("a member that is cut off was reached")
				}
				if took := time.Since(begin); took > 150*time.Millisecond {
					t.Errorf("gave up after %v", took)
				}
			})
		}
		wg.Wait()
	})
}
