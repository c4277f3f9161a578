package cluster

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// recorder is a stranger on the line, who keeps every packet that comes to a node.
type recorder struct {
	mu      sync.Mutex
	over    bool
	packets [][]byte
}

type tappedNetwork struct {
	Network
	to *recorder
}

type tappedPackets struct {
	net.PacketConn
	to *recorder
}

func (n tappedNetwork) ListenPacket(addr string) (net.PacketConn, error) {
	c, err := n.Network.ListenPacket(addr)
	return tappedPackets{c, n.to}, err
}

func (c tappedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	if !c.to.over {
		c.to.packets = append(c.to.packets, slices.Clone(b[:n]))
	}
	return n, from, err
}

func (r *recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

func (r *recorder) replay(l *lab, ip string, to *labNode) {
	l.t.Helper()
	c, err := l.net.Host(ip).ListenPacket(ip + ":7946")
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	addr, err := net.ResolveUDPAddr("udp", to.conf.Listen)
	if err != nil {
		l.t.Fatal(err)
	}
	r.mu.Lock()
	packets := slices.Clone(r.packets)
	r.mu.Unlock()
	if len(packets) == 0 {
		l.t.Fatal("nothing was recorded")
	}
	for i, p := range packets {
		if _, err := c.WriteTo(p, addr); err != nil {
			l.t.Fatal(err)
		}
		if i%50 == 49 {
			time.Sleep(10 * time.Millisecond) // as fast as they are read
		}
	}
}

// A stranger who records gossip and sends it again takes no node back that has left or stopped, long after
// memberlist has forgotten it.
func TestReplayTakesNobodyBack(t *testing.T) {
	unformed(t, 4, false, func(l *lab) {
		rec := &recorder{}
		l.tap = func(n *labNode, net Network) Network {
			if n == l.nodes[0] {
				return tappedNetwork{net, rec}
			}
			return net
		}
		for _, n := range l.nodes {
			n.conf.Join, n.conf.Expect = n.everybody(), 3
			n.start()
		}
		l.ready(l.nodes...)
		gone := l.nodes[3]
		name, run := gone.conf.Name, gone.gossipName()
		rec.stop() // later packets say that the node is going
		if err := gone.Leave(l.ctx(20 * time.Second)); err != nil {
			l.t.Fatal(err)
		}
		gone.stop()
		time.Sleep(2 * time.Minute) // memberlist forgets who is gone after half a minute
		here := func(n *labNode) bool {
			return slices.ContainsFunc(n.directory.All(),
				func(s *roster.Sighting) bool { return s.Gossip == run && s.Status == roster.Alive })
		}
		back := false
		for range 3 {
			for _, n := range l.nodes[:3] {
				rec.replay(l, "10.0.9.9", n)
				for range 20 {
					time.Sleep(20 * time.Millisecond)
					back = back || here(n)
				}
			}
		}
		if back {
			l.t.Errorf("%s is back by packets of before it left", name)
		}
		if !gone.up && l.nodes[0].directory.Departed(run) == false {
			l.t.Errorf("%s is not remembered", name)
		}
		gone.start() // another run of the same node is welcome
		l.ready(gone)
	})
}
