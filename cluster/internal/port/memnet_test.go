package port

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

func TestSlowHandshake(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := memnet.New()
		b, log := openOn(t, n.Host("10.0.0.2"), ":7946", newID(t, "shop", secret, "b"))
		b.Listener("rpc")
		start := time.Now()
		loris, err := n.Host("10.0.0.9").Dial(t.Context(), "10.0.0.2:7946")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // a byte a second of a record that never ends
			for _, octet := range append([]byte{22, 3, 1, 2, 0}, make([]byte, 100)...) {
				if _, err := loris.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if _, err := io.Copy(io.Discard, loris); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != handshakeTimeout {
			t.Errorf("closed after %v", d)
		}
		loris.Close()
		synctest.Wait()
		if b.Refused() != 1 || !strings.Contains(log.String(), "no handshake within") {
			t.Errorf("%d refused, log: %s", b.Refused(), log)
		}
		time.Sleep(time.Minute)
	})
}

func TestDialTimesOut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := memnet.New()
		a, _ := openOn(t, n.Host("10.0.0.1"), ":0", newID(t, "shop", secret, "a"))
		if _, err := n.Host("10.0.0.2").Listen(":1"); err != nil { // connects, and never says a word
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := a.Dial(t.Context(), "10.0.0.2:1", "rpc", "b"); err == nil ||
			time.Since(start) != handshakeTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestWarningEveryMinute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := memnet.New()
		b, log := openOn(t, n.Host("10.0.0.2"), ":7946", newID(t, "shop", secret, "b"))
		for range 121 {
			c, err := n.Host("10.0.0.9").Dial(t.Context(), "10.0.0.2:7946")
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
			c.Close()
			time.Sleep(time.Second)
		}
		if got := strings.Count(log.String(), "level=WARN"); got != 3 ||
			!strings.Contains(log.String(), "count=60") {
			t.Errorf("%d warnings in two minutes:\n%s", got, log)
		}
		if b.Refused() != 121 {
			t.Errorf("%d refused", b.Refused())
		}
	})
}

// raftNode is stock raft over a Port, for the tests.
type raftNode struct {
	raft  *raft.Raft
	trans *raft.NetworkTransport
	port  *Port
	fsm   *journal
}

type streamLayer struct {
	net.Listener
	port *Port
	node string
}

func (s streamLayer) Addr() net.Addr { return nodeAddr(s.node) }

func (s streamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.port.Dial(ctx, addrOf(string(to)), "raft", string(to))
}

type nodeAddr string

func (a nodeAddr) Network() string { return "node" }
func (a nodeAddr) String() string  { return string(a) }

func addrOf(node string) string { return "10.0.0." + node + ":7946" }

// journal is a state machine that writes down what it applied.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Apply(l *raft.Log) any {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(&j.text, "%s\n", l.Data)
	return nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) Snapshot() (raft.FSMSnapshot, error) { return journalSnapshot(j.String()), nil }

func (j *journal) Restore(r io.ReadCloser) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
	_, err := j.text.ReadFrom(r)
	return err
}

type journalSnapshot string

func (s journalSnapshot) Persist(sink raft.SnapshotSink) error {
	_, err := io.WriteString(sink, string(s))
	return err
}

func (s journalSnapshot) Release() {}

func startRaft(t *testing.T, n *memnet.Network, node string, all []string) *raftNode {
	t.Helper()
	p, _ := openOn(t, n.Host("10.0.0."+node), ":7946", newID(t, "shop", secret, node))
	logger := hclog.NewNullLogger()
	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  streamLayer{p.Listener("raft"), p, node},
		MaxPool: 3, Timeout: 2 * time.Second, Logger: logger,
	})
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.Logger = raft.ServerID(node), logger
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = 500*time.Millisecond,
		500*time.Millisecond, 250*time.Millisecond
	cfg.TrailingLogs, cfg.SnapshotThreshold = 10, 1<<30
	store, snapshots := raftlog.NewMemory(), raftlog.NewMemorySnapshots()
	var servers raft.Configuration
	for _, id := range all {
		servers.Servers = append(servers.Servers,
			raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	if err := raft.BootstrapCluster(cfg, store, store, snapshots, trans, servers); err != nil {
		t.Fatal(err)
	}
	fsm := new(journal)
	r, err := raft.NewRaft(cfg, fsm, store, store, snapshots, trans)
	if err != nil {
		t.Fatal(err)
	}
	return &raftNode{r, trans, p, fsm}
}

func (n *raftNode) stop(t *testing.T) {
	t.Helper()
	n.trans.Close()
	n.trans.CloseStreams()
	n.port.Close()
	if err := n.raft.Shutdown().Error(); err != nil {
		t.Error(err)
	}
}

// leader waits for exactly one leader among nodes.
func leader(t *testing.T, nodes ...*raftNode) (found *raftNode) {
	t.Helper()
	eventually(t, "one leads", func() bool {
		leaders := 0
		for _, n := range nodes {
			if n.raft.State() == raft.Leader {
				found, leaders = n, leaders+1
			}
		}
		return leaders == 1
	})
	return found
}

func without(nodes []*raftNode, one *raftNode) (rest []*raftNode) {
	for _, n := range nodes {
		if n != one {
			rest = append(rest, n)
		}
	}
	return rest
}

func (n *raftNode) apply(t *testing.T, s string) {
	t.Helper()
	if err := n.raft.Apply([]byte(s), 5*time.Second).Error(); err != nil {
		t.Fatalf("apply %s: %v", s, err)
	}
}

// Stock raft over the port over memnet, stores included: an election, a partition with another one, healing
// by snapshot, a killed leader. In a bubble: outside, a leader that is not given a processor for a quarter of
// a second steps down.
func TestRaft(t *testing.T) { bubble.Test(t, testRaft) }

func testRaft(t *testing.T) {
	n := memnet.New()
	ids := []string{"1", "2", "3"}
	var nodes []*raftNode
	for _, id := range ids {
		nodes = append(nodes, startRaft(t, n, id, ids))
	}
	first := leader(t, nodes...)
	first.apply(t, "one")

	n.Partition([]string{first.port.Addr().Addr().String()})
	second := leader(t, without(nodes, first)...)
	for i := range 50 {
		second.apply(t, fmt.Sprint("two ", i))
	}
	if err := second.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old leader notices", func() bool { return first.raft.State() != raft.Leader })
	if strings.Contains(first.fsm.String(), "two") {
		t.Error("entries crossed the partition")
	}
	n.Heal()
	eventually(t, "the old leader has caught up",
		func() bool { return first.fsm.String() == second.fsm.String() })
	leader(t, nodes...).apply(t, "three")
	for _, node := range nodes {
		eventually(t, "all have the same", func() bool {
			return strings.HasSuffix(node.fsm.String(), "two 49\nthree\n") &&
				node.fsm.String() == second.fsm.String()
		})
	}

	dead := leader(t, nodes...)
	n.Down(dead.port.Addr().Addr().String())
	start := time.Now()
	leader(t, without(nodes, dead)...).apply(t, "four")
	t.Logf("written again %v after the leader died", time.Since(start))
	for _, node := range nodes {
		node.stop(t)
	}
}
