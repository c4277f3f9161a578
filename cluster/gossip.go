package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// gossip runs memberlist on the peer port and turns what it says into sightings. memberlist calls the
// delegate methods with its own locks held, so they only copy, store and signal.
type gossip struct {
	*base
	profile *profile
	news    *news
	list    *memberlist.Memberlist
}

// startGossip starts memberlist. refused is told of an address that does not answer, and why.
func startGossip(p *profile, nw *news, refused func(addr string, err error)) (*gossip, error) {
	g := &gossip{base: p.base, profile: p, news: nw}
	t := newGossipTransport(g.base, refused)
	c, err := g.config(t)
	if err != nil {
		return nil, err
	}
	g.list, err = memberlist.Create(c)
	if err != nil {
		t.Shutdown()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	return g, nil
}

// config: a failed node is noticed within one to two seconds. Gossip is for routing; Raft has its own
// heartbeat.
//
// What a node has to say goes to each of up to 8 others twice at least. memberlist's own numbers are made for
// hundreds: news leave a node four times in all, to three others at a time, whether these live or died within
// the last half minute. Two survivors of five did not hear of each other once in six times then, until whole
// lists were exchanged, every 30 s.
func (g *gossip) config(t *gossipTransport) (*memberlist.Config, error) {
	keys := g.trust.GossipKeys()
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("gossip keys: %w", err)
	}
	host, port := splitAddr(g.advertise)
	c := memberlist.DefaultLANConfig()
	c.Name = g.gossipName()
	c.Transport = t
	c.BindAddr, c.BindPort, c.AdvertiseAddr, c.AdvertisePort = host, port, host, port
	c.ProbeInterval, c.ProbeTimeout = 250*time.Millisecond, 100*time.Millisecond
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = 4, 3
	c.GossipInterval, c.GossipNodes, c.RetransmitMult = 50*time.Millisecond, 8, 16
	c.PushPullInterval = 10 * time.Second
	c.DeadNodeReclaimTime = 5 * time.Second
	c.TCPTimeout = 3 * time.Second
	c.EnableCompression = false
	c.Label = "webfarm/" + g.cfg.Farm
	c.Keyring = ring
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.MsgpackUseNewTimeFormat = true
	c.Logger = gossipLogger(g.log)
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping = g, g, g, g, g
	return c, nil
}

func splitAddr(addr string) (string, int) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	p, _ := strconv.Atoi(port)
	return host, p
}

// sayGone tells the others that this node is gone, so that nobody has to find out.
func (g *gossip) sayGone() { g.list.Leave(time.Second) }

func (g *gossip) stop() { g.list.Shutdown() }

func sightingOf(n *memberlist.Node) (*roster.Sighting, error) {
	m, err := roster.ReadMeta(n.Meta)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	s := &roster.Sighting{Gossip: n.Name, Node: wire.NodeOf(n.Name), Meta: m, Status: roster.Alive,
		At: time.Now()}
	s.Addr = net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port)))
	return s, nil
}

// NodeMeta, NotifyMsg, GetBroadcasts, LocalState and MergeRemoteState are memberlist's Delegate.
func (g *gossip) NodeMeta(limit int) []byte {
	b := g.profile.bytes()
	if len(b) > limit { // SetTag and Open have refused this
		return nil
	}
	return b
}

func (g *gossip) NotifyMsg([]byte)                           {}
func (g *gossip) GetBroadcasts(overhead, limit int) [][]byte { return nil }
func (g *gossip) LocalState(join bool) []byte                { return nil }
func (g *gossip) MergeRemoteState(buf []byte, join bool)     {}

// NotifyJoin, NotifyUpdate and NotifyLeave are memberlist's EventDelegate.
func (g *gossip) NotifyJoin(m *memberlist.Node)   { g.hear(m, roster.Alive) }
func (g *gossip) NotifyUpdate(m *memberlist.Node) { g.hear(m, roster.Alive) }

// NotifyLeave comes for the dead and for those who left memberlist; it does not tell which, their metadata
// does.
func (g *gossip) NotifyLeave(m *memberlist.Node) { g.hear(m, roster.Dead) }

func (g *gossip) hear(m *memberlist.Node, status string) {
	s, err := sightingOf(m)
	if err != nil {
		g.log.Warn("a member's metadata cannot be read", keyError, err)
		return
	}
	s.Status = status
	switch {
	case status == roster.Dead && s.ForGood:
		s.Status = roster.Left
	case status == roster.Dead && s.Leaving: // older programs do not say whether for good
		s.Status = roster.Stopped
	}
	g.news.hear(s)
}

// NotifyAlive is memberlist's AliveDelegate: an error keeps the member out of this node's list.
func (g *gossip) NotifyAlive(m *memberlist.Node) error {
	if m.Name == g.gossipName() {
		return nil
	}
	s, err := sightingOf(m)
	if err != nil {
		return err
	}
	return g.news.admit(s)
}

// NotifyMerge is memberlist's MergeDelegate, asked when whole member lists are exchanged at a join.
func (g *gossip) NotifyMerge(ms []*memberlist.Node) error {
	for _, m := range ms {
		if m.State != memberlist.StateAlive {
			continue
		}
		// who sent the list may not have heard of it
		if err := g.NotifyAlive(m); err != nil && !errors.Is(err, roster.ErrDeparted) {
			return err
		}
	}
	return nil
}

// AckPayload and NotifyPingComplete are memberlist's PingDelegate: the applied index rides on probe answers.
func (g *gossip) AckPayload() []byte {
	in := g.inst.Load()
	if in == nil {
		return nil
	}
	index, _ := in.fsm.View()
	return wire.AppendString(binary.AppendUvarint(nil, index), in.server)
}

func (g *gossip) NotifyPingComplete(m *memberlist.Node, _ time.Duration, payload []byte) {
	r := wire.NewReader(payload)
	if index, server := r.Uvarint(), r.Text(); r.Done() && wire.NodeOf(server) == wire.NodeOf(m.Name) {
		g.directory.Applied(m.Name, server, index)
	}
}

// gossipTransport carries memberlist on the peer port: packets by UDP, streams by TLS.
type gossipTransport struct {
	*base
	refused func(addr string, err error)
	listen  net.Listener
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
}

var _ memberlist.Transport = (*gossipTransport)(nil)

func newGossipTransport(b *base, refused func(addr string, err error)) *gossipTransport {
	t := &gossipTransport{base: b, refused: refused, listen: b.port.Listener(protoGossip),
		packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn), done: make(chan struct{})}
	b.spawn(t.readPackets)
	b.spawn(t.acceptStreams)
	return t
}

func (t *gossipTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	host, port := splitAddr(t.advertise)
	ip := net.ParseIP(host)
	if ip == nil {
		return nil, 0, fmt.Errorf("advertised address %q is not an IP address", t.advertise)
	}
	return ip, port, nil
}

// WriteTo never blocks on a peer and never fails for one: a lost packet is what gossip is made for.
func (t *gossipTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	if to, err := net.ResolveUDPAddr("udp", addr); err == nil {
		t.port.Packets().WriteTo(b, to)
	}
	return time.Now(), nil
}

func (t *gossipTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *gossipTransport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *gossipTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	c, err := t.port.Dial(ctx, addr, protoGossip, "")
	t.refused(addr, err)
	return c, err
}

func (t *gossipTransport) Shutdown() error {
	select {
	case <-t.done:
	default:
		close(t.done)
		t.listen.Close()
	}
	return nil
}

// readPackets ends when the port's packet connection is closed.
func (t *gossipTransport) readPackets() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := t.port.Packets().ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			sleep.For(t.ctx, time.Millisecond) // such as a port-unreachable message for an earlier packet
			continue
		}
		p := &memberlist.Packet{Buf: slices.Clone(buf[:n]), From: from, Timestamp: time.Now()}
		select {
		case t.packets <- p:
		default: // memberlist is behind; it will be told again
		}
	}
}

func (t *gossipTransport) acceptStreams() {
	for {
		c, err := t.listen.Accept()
		if err != nil {
			return
		}
		select {
		case t.streams <- c:
		case <-t.done:
			c.Close()
		}
	}
}
