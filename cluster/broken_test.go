package cluster

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// fullStore is a log on a disk that can be full.
type fullStore struct {
	raftlog.Store
	full *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (s fullStore) write(f func() error) error {
	if s.full.Load() {
		return errFull
	}
	return f()
}

func (s fullStore) StoreLogs(l []*raft.Log) error {
	return s.write(func() error { return s.Store.StoreLogs(l) })
}

func (s fullStore) Set(k, v []byte) error {
	return s.write(func() error { return s.Store.Set(k, v) })
}

func (s fullStore) SetUint64(k []byte, v uint64) error {
	return s.write(func() error { return s.Store.SetUint64(k, v) })
}

// A disk becomes full. The node says so and takes no part any more, the others go on, and it comes back, with all that was
// written meanwhile, when it is started on a disk with room.
func TestFullDisk(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		disks := map[*labNode]*atomic.Bool{}
		for _, n := range l.nodes {
			disks[n] = new(atomic.Bool)
			n.conf.wrapStore = func(inner raftlog.Store) raftlog.Store { return fullStore{inner, disks[n]} }
			n.start()
		}
		l.ready(l.nodes...)
		for i, pick := range []func() *labNode{
			func() *labNode { leader, _ := l.leader(); return leader },
			func() *labNode { _, others := l.leader(); return others[0] },
		} {
			n := pick()
			n.must("append x %d", 2*i)
			disks[n].Store(true)
			other := l.nodes[0]
			if other == n {
				other = l.nodes[1]
			}
			other.must("append x %d", 2*i+1)
			l.until(time.Minute, "it gives up", func() bool { return n.Err() != nil })
			if err := n.Err(); !errors.Is(err, ErrDisk) || !errors.Is(err, errFull) {
				t.Errorf("it gave up with %v", err)
			}
			n.stop()
			disks[n].Store(false)
			n.start()
			l.ready(l.nodes...)
		}
		l.agree()
		if got := l.nodes[0].get("x"); got != "0,1,2,3," {
			t.Errorf("x = %q", got)
		}
	})
}
