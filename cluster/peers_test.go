package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// TestCallersDoNotWaitForOthersDials: whoever calls a member that does not answer waits as long as its own
// context says, however many dial it.
func TestCallersDoNotWaitForOthersDials(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		l.net.Partition([]string{leader.ip})
		others[0].peers.Drop(leader.id)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				defer cancel()
				if _, err := others[0].peers.Get(ctx, leader.id); err == nil {
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

// A member takes connections, and then says nothing. A caller waits no longer than its own deadline, and
// nobody waits longer than a dial may take.
func TestGreetingEndsInTime(t *testing.T) {
	t.Parallel()
	inLab(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		tr, err := trust.New("webfarm", n.conf.Secrets)
		if err != nil {
			t.Fatal(err)
		}
		id, err := tr.Identity("silent")
		if err != nil {
			t.Fatal(err)
		}
		p, err := port.Open(l.net.Host("10.0.0.9"), "10.0.0.9:7946", id, testLogger())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.Listener(protoRPC) // which nobody takes anything from
		n.directory.KeepAt("silent", "10.0.0.9:7946")
		for given, want := range map[time.Duration]time.Duration{time.Second: time.Second,
			time.Minute: dialTimeout} {
			begin := time.Now()
			if _, _, err := n.peers.Call(l.ctx(given), "silent", wire.MethodStatus, nil); err == nil ||
				time.Since(begin) != want {
				t.Errorf("given %v, it took %v: %v", given, time.Since(begin), err)
			}
		}
	})
}
