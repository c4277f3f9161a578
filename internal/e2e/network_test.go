package e2e

import (
	"maps"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/proxy"
)

// badNet is the network between the nodes of a farm, each behind a proxy.
type badNet struct {
	*proxy.Network
	mu   sync.Mutex
	pids map[string]int // by name of the node
}

// apart returns a farm of n nodes, not started, that reach each other through proxies only.
func apart(t *testing.T, n int, durable bool) *farm {
	t.Helper()
	if !ownersKnown {
		ci.Missingf(t, "a list of whose a connection is, which only Linux has")
	}
	f := newFarm(t, n, durable)
	f.net = &badNet{pids: map[string]int{}}
	f.net.Network = proxy.New(f.net.owner)
	t.Cleanup(f.net.Close)
	for _, node := range f.nodes {
		node.bind = node.peer
		addr, err := f.net.Add(node.name, node.bind)
		if err != nil {
			t.Fatal(err)
		}
		node.peer = addr
	}
	return f
}

// started notes which process a node is now.
func (b *badNet) started(n *node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pids[n.name] = n.pid()
}

// ownerTries bounds how long the process behind a connection is looked for: on a busy machine a node may call before the test
// has taken note of its process.
const ownerTries = int(patience / pollTime)

// owner finds the node that has opened a connection. One that has just been started may not be known yet.
func (b *badNet) owner(local, remote netip.AddrPort) (name string, open bool) {
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for range ownerTries {
		b.mu.Lock()
		pids := maps.Clone(b.pids)
		b.mu.Unlock()
		if name, open = connOwner(pids, local, remote); name != "" || !open {
			break
		}
		<-tick.C
	}
	return name, open
}

// links sets the links from one node to all others, and those back.
func (f *farm) links(n *node, out, in proxy.Link) {
	for _, o := range f.nodes {
		if o != n {
			f.net.Set(n.name, o.name, out)
			f.net.Set(o.name, n.name, in)
		}
	}
}

var cut = proxy.Link{Cut: true}

// worse gives all nodes the same bad links.
func (f *farm) worse(l proxy.Link) {
	for _, n := range f.nodes {
		f.links(n, l, l)
	}
}

// Every connection and packet through the proxies is known to be some node's.
func (f *farm) noStrangers() {
	f.t.Helper()
	if n := f.net.Strangers(); n > 0 {
		f.t.Errorf("%d connections or packets between the nodes came from nobody", n)
	}
}
