package cluster

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// sluggishStore takes a fixed time for each append, below every watchdog's limit, and counts the copies of a command.
type sluggishStore struct {
	raftlog.Store
	delay  *atomic.Int64
	copies *atomic.Int64
}

func (s sluggishStore) StoreLogs(logs []*raft.Log) error {
	time.Sleep(time.Duration(s.delay.Load()))
	for _, l := range logs {
		s.copies.Add(int64(bytes.Count(l.Data, []byte("large "))))
	}
	return s.Store.StoreLogs(logs)
}

// However much more is asked of a farm than its disks can do, what they do is not done twice.
// Slow: two farms write a hundred KiB at a time for a minute of their time.
func TestOverloadIsNoCollapse(t *testing.T) {
	t.Parallel()
	const nodes, run = 3, time.Minute
	goodput := func(writers int) (acked, copies int64) {
		unformed(t, nodes, true, func(l *lab) {
			var delay, logged, ok atomic.Int64
			for i, n := range l.nodes {
				if i > 0 {
					n.conf.Join = []string{"10.0.0.1:7946"}
				}
				n.conf.SnapshotBytes = 1 << 40
				n.hooks.wrapStore = func(s raftlog.Store) raftlog.Store { return sluggishStore{s, &delay, &logged} }
				n.start()
			}
			l.ready(l.nodes...)
			delay.Store(int64(700 * time.Millisecond))
			ctx, cancel := context.WithTimeout(l.t.Context(), run)
			defer cancel()
			cmd := []byte("large " + strings.Repeat("x", 100<<10))
			var wg sync.WaitGroup
			for _, n := range l.nodes {
				for range writers {
					wg.Go(func() {
						for ctx.Err() == nil {
							patience, stop := context.WithTimeout(ctx, time.Minute)
							if _, _, err := n.Handle("kv").Propose(patience, cmd); err == nil {
								ok.Add(1)
							}
							stop()
						}
					})
				}
			}
			wg.Wait()
			acked, copies = ok.Load(), logged.Load()/nodes
			delay.Store(0)
			time.Sleep(time.Minute) // what was given up on its way is in the log by then
		})
		return acked, copies
	}
	best, _ := goodput(2)
	acked, copies := goodput(20)
	t.Logf("with 2 writers a node %d acknowledged, with 20 %d; %d in the log", best, acked, copies)
	if acked < best*8/10 {
		t.Errorf("at ten times the load %d were acknowledged, %d at the best one", acked, best)
	}
	if copies > acked*11/10+nodes*20 {
		t.Errorf("%d commands stand in the log, and %d were acknowledged", copies, acked)
	}
}
