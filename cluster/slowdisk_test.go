package cluster

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// slowDisk takes so many bytes per second.
type slowDisk struct {
	raftlog.Store
	rate *atomic.Int64 // 0 = no limit
}

func (s slowDisk) StoreLogs(l []*raft.Log) error {
	if r := s.rate.Load(); r > 0 {
		time.Sleep(time.Duration(int64(entriesSize(l)) * int64(time.Second) / r))
	}
	return s.Store.StoreLogs(l)
}

// A large write may take longer than a small one: a follower whose disk is slow catches up, and does not
// begin anew because of that.
func TestSlowDiskCatchesUp(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		var rate atomic.Int64
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		slow := others[0]
		slow.stop()
		for range 6 {
			leader.must("noop %s", strings.Repeat("x", 500<<10))
		}
		slow.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return slowDisk{inner, &rate} }
		rate.Store(220 << 10) // an entry of 500 KiB takes longer than any write without data may
		slow.start()
		in := slow.instance()
		l.until(time.Minute, "it has all",
			func() bool { return slow.progress.load() >= leader.progress.load() })
		if slow.instance() != in {
			t.Error("it has begun anew")
		}
	})
}
