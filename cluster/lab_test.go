package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// lab is a cluster over an in-memory network, in a bubble of fake time. Tests speak of roles, never of names:
// who leads is random.
type lab struct {
	t      *testing.T
	net    *memnet.Network
	nodes  []*labNode
	fatalf func(format string, args ...any) // t.Fatalf, or one that says where
	tap    func(*labNode, Network) Network  // between the nodes and the network, if it is not nil
}

type labNode struct {
	*Node
	lab   *lab
	ip    string
	conf  Config
	hooks hooks
	log   *slog.Logger // nil: the test's
	up    bool
	live  atomic.Pointer[Node] // what callers on other goroutines use; nil while it is down
}

// inLab runs a test on n nodes that have formed a cluster. At its end the nodes must agree.
func inLab(t *testing.T, n int, durable bool, f func(l *lab)) {
	t.Helper()
	unformed(t, n, durable, func(l *lab) {
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		f(l)
	})
}

// unformed runs a test on n nodes that are configured, but not started.
func unformed(t *testing.T, n int, durable bool, f func(l *lab)) {
	t.Helper()
	var dirs []string // made outside, because a bubble's clock is years off the file system's
	for range n {
		if durable {
			dirs = append(dirs, t.TempDir())
		} else {
			dirs = append(dirs, "")
		}
	}
	bubble.Test(t, func(t *testing.T) {
		l := &lab{t: t, net: memnet.New(), fatalf: t.Fatalf}
		t.Cleanup(l.end)
		for i := range n {
			c := Config{Name: fmt.Sprintf("n%d", i+1), Dir: dirs[i],
				Secrets: []string{"6b1f0e0b5d0c4c0c9a4e8f2d7a3b1c5d"}}
			ip := fmt.Sprintf("10.0.0.%d", i+1)
			c.Listen = ip + ":7946"
			l.nodes = append(l.nodes, &labNode{lab: l, ip: ip, conf: c})
		}
		f(l)
		l.net.Heal()
		l.agree()
	})
}

// end stops what still runs, so that the bubble can end, whether the test failed or not.
func (l *lab) end() {
	for _, n := range l.nodes {
		if n.up {
			n.stop()
		}
	}
	time.Sleep(time.Minute) // memberlist does not wait for its probes
}

func (n *labNode) open() (*Node, error) {
	c := n.conf
	if c.Machines == nil {
		c.Machines = map[string]func() StateMachine{"kv": newKV}
	}
	c.Logger, c.Network = testLogger(), n.lab.net.Host(n.ip)
	if n.lab.tap != nil {
		c.Network = n.lab.tap(n, c.Network)
	}
	if n.log != nil {
		c.Logger = n.log
	}
	return openWith(n.lab.t.Context(), c, n.hooks)
}

func (n *labNode) start() {
	n.lab.t.Helper()
	node, err := n.open()
	if err != nil {
		n.lab.fatalf("%v", err)
	}
	n.Node, n.up = node, true
	n.live.Store(node)
}

func (n *labNode) stop() {
	n.lab.t.Helper()
	n.up = false
	n.live.Store(nil)
	if err := n.Close(); err != nil {
		n.lab.t.Errorf("close: %v", err)
	}
}

// kill ends the node as kill -9 does: at once, without a word.
func (n *labNode) kill() {
	n.lab.net.Down(n.ip)
	n.stop()
	n.lab.net.Up(n.ip)
}

func (l *lab) ctx(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(l.t.Context(), d)
	l.t.Cleanup(cancel)
	return ctx
}

func (l *lab) ready(nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		if err := n.Ready(l.ctx(2 * time.Minute)); err != nil {
			l.fatalf("%s: %v; it sees %+v", n.conf.Name, err, n.State())
		}
	}
}

// leader waits for a leader among the given nodes, all by default, and returns it with the others.
func (l *lab) leader(among ...*labNode) (leader *labNode, others []*labNode) {
	l.t.Helper()
	if among == nil {
		among = l.nodes
	}
	for range 1000 {
		leader, others = nil, nil
		for _, n := range among {
			if n.up && n.leads() {
				leader = n
			} else {
				others = append(others, n)
			}
		}
		if leader != nil {
			return leader, others
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.fatalf("no leader within 20 s")
	return nil, nil
}

func (n *labNode) leads() bool {
	lead := n.instance().leading.now()
	if lead == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := lead.confirming.barrier(ctx)
	return err == nil
}

func (n *labNode) propose(d time.Duration, format string, args ...any) error {
	_, _, err := n.Handle("kv").Propose(n.lab.ctx(d), fmt.Appendf(nil, format, args...))
	return err
}

func (n *labNode) must(format string, args ...any) {
	n.lab.t.Helper()
	if err := n.propose(20*time.Second, format, args...); err != nil {
		n.lab.t.Fatalf("%s: %v", n.conf.Name, err)
	}
}

func (n *labNode) get(k string) string { return local(n.Node, k) }

// joiner starts one more node, which joins the first one and is none of the lab's nodes.
func (l *lab) joiner(ip string, c Config) *labNode {
	c.Listen, c.Join, c.Secrets = ip+":7946", []string{l.nodes[0].Addr()}, l.nodes[0].conf.Secrets
	n := &labNode{lab: l, ip: ip, conf: c}
	n.start()
	return n
}

// cut parts the network into the given nodes and the rest.
func (l *lab) cut(nodes ...*labNode) {
	var ips []string
	for _, n := range nodes {
		ips = append(ips, n.ip)
	}
	l.net.Partition(ips)
}

type stated interface{ State() []byte }

// agree waits until all live nodes have the same state, and checks that it is the same to the byte. A write
// whose caller has given up may still come while it looks; then it looks again.
func (l *lab) agree() {
	l.t.Helper()
	for tries := 10; ; tries-- {
		before := l.lastIndex()
		differ := l.differ()
		if differ == "" {
			return
		}
		if tries == 0 || l.lastIndex() == before {
			l.t.Error(differ)
			return
		}
	}
}

// lastIndex returns the index up to which the log of any live node goes.
func (l *lab) lastIndex() (last uint64) {
	for _, n := range l.nodes {
		if n.up {
			last = max(last, n.instance().last())
		}
	}
	return last
}

// differ says which live node has another state than the first one, "" for none, once each is as new as
// anything acknowledged by then.
func (l *lab) differ() string {
	l.t.Helper()
	var first *labNode
	for _, n := range l.nodes {
		if !n.up {
			continue
		}
		if err := n.Handle("kv").Barrier(l.ctx(time.Minute)); err != nil {
			l.fatalf("%s: %v; it sees %+v", n.conf.Name, err, n.State())
		}
		if first == nil {
			first = n
		}
		a, b := first.Handle("kv").Local().(stated).State(), n.Handle("kv").Local().(stated).State()
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("%s has\n%s\n%s has\n%s", first.conf.Name, a, n.conf.Name, b)
		}
	}
	return ""
}
