package cluster

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A rolling restart changes Tuning.Heartbeat tenfold. Nobody loses the leader between the restarts, and no
// write is lost.
//
// Slow: two rolling restarts under writes, with seconds of rest after each node, in fake time.
func TestHeartbeatsDiffer(t *testing.T) {
	t.Parallel()
	const long = 10 * leastHeartbeat
	for name, beats := range map[string][2]time.Duration{
		"shorter": {long, leastHeartbeat},
		"longer":  {leastHeartbeat, long},
	} {
		t.Run(name, func(t *testing.T) {
			unformed(t, 3, true, func(l *lab) {
				l.symmetric()
				for _, n := range l.nodes {
					n.conf.Tuning.Heartbeat = beats[0]
					n.start()
				}
				l.ready(l.nodes...)
				var list []string
				leader, others := l.leader()
				for _, n := range append(others, leader) { // it leads while all others have the other value
					written := l.writing()
					n.stop()
					n.conf.Tuning.Heartbeat = beats[1]
					n.start()
					l.ready(l.nodes...)
					list = append(list, written()...)
					l.keepsOneLeader(4 * time.Second) // at rest, when a leader has heartbeats alone to send
				}
				if err := l.nodes[0].Handle("kv").Barrier(l.ctx(time.Minute)); err != nil {
					l.t.Fatal(err)
				}
				value := "," + l.nodes[0].get("x")
				for _, w := range list {
					if strings.Count(value, ","+w+",") != 1 {
						l.t.Errorf("write %s is there %d times", w, strings.Count(value, ","+w+","))
					}
				}
				l.t.Logf("%d writes", len(list))
			})
		})
	}
}

// writing writes all the time, by one node after the other, until the returned function is called. That
// returns what was acknowledged.
func (l *lab) writing() (end func() []string) {
	var wg sync.WaitGroup
	var done []string
	over := make(chan struct{})
	wg.Go(func() {
		for i := time.Now().UnixMilli(); ; i++ {
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
			n := l.nodes[int(i)%len(l.nodes)].live.Load()
			if n == nil {
				continue
			}
			w := fmt.Sprint(i)
			if _, _, err := n.Handle("kv").Propose(l.ctx(time.Minute), []byte("push x "+w)); err == nil {
				done = append(done, w)
			}
		}
	})
	return func() []string {
		close(over)
		wg.Wait()
		return done
	}
}

// keepsOneLeader fails the test if any node sees another leader, or term, than the present one.
func (l *lab) keepsOneLeader(d time.Duration) {
	l.t.Helper()
	leader, _ := l.leader()
	term := leader.State().Term
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, n := range l.nodes {
			if s := n.State(); s.Leader != leader.ID() || s.Term != term {
				l.t.Fatalf("%s, with a timeout of %v, has the leader %q in term %d, not %q, with %v, in term %d",
					n.conf.Name, n.conf.Tuning.Heartbeat, s.Leader, s.Term, leader.ID(),
					leader.conf.Tuning.Heartbeat, term)
			}
		}
	}
}

// If nodes have different heartbeat timeouts for long, those that do not lead say it. If all agree, nobody
// does.
func TestHeartbeatsDifferForLong(t *testing.T) {
	t.Parallel()
	unformed(t, 3, false, func(l *lab) {
		l.symmetric()
		logs := map[*labNode]*lockedBuffer{}
		for i, n := range l.nodes {
			n.conf.Tuning.Heartbeat = time.Duration(1+i/2) * 2 * time.Second
			logs[n] = &lockedBuffer{}
			n.log = slog.New(slog.NewTextHandler(logs[n], nil))
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		time.Sleep(pacePatience + time.Second)
		for _, n := range others {
			differs := n.conf.Tuning.Heartbeat != leader.conf.Tuning.Heartbeat
			said := strings.Contains(logs[n].String(), "Give all nodes the same Tuning.Heartbeat")
			if said != differs {
				t.Errorf("%s differs from the leader: %v; it says so: %v", n.conf.Name, differs, said)
			}
		}
	})
}

// A leader has a short heartbeat timeout, and so a short lease. Its followers have a long one, and their Raft
// is busy with a write for longer than the lease. They answer the leader's heartbeats in time all the same.
//
// Slow: half a minute of writes on slow disks, in fake time.
func TestSlowDisksOfThePatient(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		var write atomic.Int64 // nanoseconds
		for i, n := range l.nodes {
			n.conf.Tuning.Heartbeat = leastHeartbeat
			if i > 0 {
				n.conf.Tuning.Heartbeat = 10 * leastHeartbeat
				n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return delayedStore{inner, &write} }
			}
			n.start()
		}
		l.ready(l.nodes...)
		impatient := l.nodes[0]
		if leader, _ := l.leader(); leader != impatient {
			if err := leader.instance().handing.transfer(impatient.instance().server).Error(); err != nil {
				t.Fatal(err)
			}
		}
		l.leader(impatient)
		write.Store(int64(100 * time.Millisecond))
		keepsLeader(l, impatient, 20*time.Second)
		write.Store(0)
	})
}
