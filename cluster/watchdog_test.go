package cluster

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// hangingStore is a disk whose writes hang while it is told to.
type hangingStore struct {
	raftlog.Store
	switchboard *hangSwitch
}

type hangSwitch struct {
	mu   sync.Mutex
	hung chan struct{} // closed when writes go on; nil while they do
}

func (s *hangSwitch) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan struct{})
}

func (s *hangSwitch) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung != nil {
		close(s.hung)
		s.hung = nil
	}
}

func (s *hangSwitch) wait() {
	s.mu.Lock()
	hung := s.hung
	s.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

func (s hangingStore) StoreLogs(l []*raft.Log) error {
	s.switchboard.wait()
	return s.Store.StoreLogs(l)
}

// A transfer of leadership that raft never ends leaves a leader that refuses every write.
func TestStuckTransfer(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, _ := l.leader()
		in := leader.instance()
		lead := in.lead.Load()
		for range 10 { // as settle would see it
			lead.transferStuck(raft.ErrLeadershipTransferInProgress)
			time.Sleep(300 * time.Millisecond)
		}
		l.until(time.Minute, "it has another Raft instance", func() bool { return leader.instance() != in })
		leader.must("append x 1")
		if leader.instance().server != in.server {
			l.t.Error("it forgot its log for that")
		}
	})
}

// Snapshot after snapshot with nothing applied between: raft issue 697.
func TestRestoreLoop(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				_, others := l.leader()
				n := others[0]
				in := n.instance()
				for range restoresInRow {
					in.restored()
				}
				l.until(time.Minute, "it has another Raft instance", func() bool { return n.instance() != in })
				if again := n.instance().server == in.server; again != durable {
					l.t.Errorf("the same incarnation: %v, durable: %v", again, durable)
				}
				n.must("append x 1")
			})
		})
	}
}

// A snapshot stops coming in the middle, and its sender says nothing more: the receiver must not wait for it for ever.
func TestSnapshotThatStopsComing(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.conf.SnapshotBytes = 1 << 20
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		away := others[0]
		l.cut(away)
		value := bytes.Repeat([]byte("v"), 32<<10)
		for i := range 400 { // 12 MiB: far more than a connection holds
			leader.must("set k%d %s", i, value)
		}
		l.until(10*time.Second, "the log is cut behind a snapshot", func() bool { return leader.firstIndex() > 100 })
		leader.must("append x 1")
		l.net.Delay(leader.ip, away.ip, 100*time.Millisecond)
		l.net.Heal()
		l.until(20*time.Second, "a snapshot is on its way in", func() bool { return away.instance().transport.inbound.Load() > 0 })
		l.net.Cut(leader.ip, away.ip) // and what is on its way stays there
		l.net.Cut(away.ip, leader.ip)
		time.Sleep(streamPatience + 5*time.Second)
		if n := away.instance().transport.inbound.Load(); n != 0 {
			l.t.Errorf("it still waits for the snapshot")
		}
		l.net.Delay(leader.ip, away.ip, 0)
		l.net.Heal()
		away.must("append x 2")
		l.agree()
	})
}
