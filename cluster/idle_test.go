package cluster

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// meter counts what the nodes of a lab write to each other on TCP connections, whoever opened them, and the
// packets of gossip.
type meter struct {
	mu      sync.Mutex
	writes  map[[2]string]int // by the IP addresses of the sender and the receiver
	bytes   map[[2]string]int
	packets int
}

// attach counts what the nodes of a lab write.
func (m *meter) attach(l *lab) {
	m.reset()
	l.tap = func(n *labNode, net Network) Network { return meteredNetwork{net, n.ip, m} }
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes, m.bytes, m.packets = map[[2]string]int{}, map[[2]string]int{}, 0
}

func (m *meter) of(from, to *labNode) (writes, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := [2]string{from.ip, to.ip}
	return m.writes[p], m.bytes[p]
}

// total returns what all have written.
func (m *meter) total() (writes, bytes, packets int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, n := range m.writes {
		writes, bytes = writes+n, bytes+m.bytes[p]
	}
	return writes, bytes, m.packets
}

type meteredNetwork struct {
	Network
	ip    string
	meter *meter
}

func (n meteredNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return n.metered(c), nil
}

func (n meteredNetwork) Listen(addr string) (net.Listener, error) {
	l, err := n.Network.Listen(addr)
	return meteredListener{l, n}, err
}

func (n meteredNetwork) ListenPacket(addr string) (net.PacketConn, error) {
	c, err := n.Network.ListenPacket(addr)
	return meteredPackets{c, n.meter}, err
}

func (n meteredNetwork) metered(c net.Conn) net.Conn {
	to, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	return meteredConn{c, n.meter, [2]string{n.ip, to}}
}

type meteredListener struct {
	net.Listener
	n meteredNetwork
}

func (l meteredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.n.metered(c), nil
}

type meteredPackets struct {
	net.PacketConn
	meter *meter
}

func (c meteredPackets) WriteTo(p []byte, to net.Addr) (int, error) {
	c.meter.mu.Lock()
	c.meter.packets++
	c.meter.mu.Unlock()
	return c.PacketConn.WriteTo(p, to)
}

type meteredConn struct {
	net.Conn
	meter *meter
	path  [2]string
}

func (c meteredConn) Write(p []byte) (int, error) {
	c.meter.mu.Lock()
	c.meter.writes[c.path]++
	c.meter.bytes[c.path] += len(p)
	c.meter.mu.Unlock()
	return c.Conn.Write(p)
}

// mostIdleWrites is how often a leader may write to each follower of a farm at rest, in a second: 13.3
// heartbeats, 2.5 appends that have nothing to say, the answers about its own freshness that the follower
// asks for, and gossip. See DESIGN.md.
const mostIdleWrites = 20

// A farm at rest costs its leader few packets, whether a follower votes or not.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	unformed(t, 4, false, func(l *lab) {
		m := &meter{}
		m.attach(l)
		for i, n := range l.nodes {
			n.conf.Tuning.MaxVoters = 3
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		time.Sleep(10 * time.Second)
		leader, others := l.leader()
		m.reset()
		const secs = 30
		time.Sleep(secs * time.Second)
		for _, n := range others {
			writes, bytes := m.of(leader, n)
			back, _ := m.of(n, leader)
			t.Logf("%.1f writes and %d bytes a second to %s, %.1f writes back", float64(writes)/secs,
				bytes/secs, n.conf.Name,
				float64(back)/secs)
			if writes > mostIdleWrites*secs {
				t.Errorf("%.1f writes a second to %s", float64(writes)/secs, n.conf.Name)
			}
		}
	})
}
