package cluster

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// lateDisk takes that long for each write.
type lateDisk struct {
	raftlog.Store
	takes time.Duration
}

func (s lateDisk) StoreLogs(l []*raft.Log) error {
	time.Sleep(s.takes)
	return s.Store.StoreLogs(l)
}

// skew proposes at a farm at rest, and returns how long after the first node the last one has applied it.
func (l *lab) skew(leader *labNode,
	propose func(context.Context, []byte) (uint64, []byte, error)) time.Duration {
	l.t.Helper()
	time.Sleep(300 * time.Millisecond)
	next := leader.progress.load() + 1
	at := make([]time.Time, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() {
			if err := n.Handle("kv").Wait(l.ctx(time.Minute), next); err != nil {
				l.t.Error(err)
			}
			at[i] = time.Now()
		})
	}
	if index, _, err := propose(l.ctx(time.Minute), []byte("set k v")); err != nil || index != next {
		l.t.Errorf("index %d, want %d, %v", index, next, err)
	}
	wg.Wait()
	return slices.MaxFunc(at, time.Time.Compare).Sub(slices.MinFunc(at, time.Time.Compare))
}

// A command that is proposed together is applied by all nodes at nearly the same moment, although the disks
// of two of them are late, and appends tell of commits now and then. Any other command is not; and a node
// that does not answer is not waited for for long.
func TestProposeTogether(t *testing.T) {
	t.Parallel()
	const late = 15 * time.Millisecond
	unformed(t, 5, true, func(l *lab) {
		for i, n := range l.nodes {
			takes := time.Millisecond
			if i > 2 {
				takes = late
			}
			n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return lateDisk{inner, takes} }
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, _ := l.leader()
		h := leader.Handle("kv")
		for range 20 {
			if got := l.skew(leader, h.ProposeTogether); got > 2*time.Millisecond {
				l.t.Errorf("together: %v apart", got)
			}
		}
		if got := l.skew(leader, h.Propose); got < late/2 {
			l.t.Errorf("by itself: %v apart", got)
		}
		if got := leader.unison.bound(1 << 40); got != 1<<40 {
			l.t.Errorf("commits beyond %d are told to nobody", got)
		}
		_, others := l.leader()
		l.net.Partition([]string{others[0].ip})
		begun := time.Now()
		if _, _, err := h.ProposeTogether(l.ctx(time.Minute), []byte("set k v")); err != nil {
			l.t.Fatal(err)
		}
		if took := time.Since(begun); took > unisonPatience+20*time.Millisecond {
			l.t.Errorf("with a node that does not answer it took %v", took)
		}
	})
}
