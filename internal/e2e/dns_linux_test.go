package e2e

import (
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// Three nodes stand under one name, and nothing is in front of them: a client asks the DNS, which names them
// in turns, and goes on to the next address where it is refused. Neither knows which nodes are ready. A node
// is stopped in order, and no request is lost; one is killed, and what it was working on is.
//
// The nodes share a port and have addresses of their own, 127.0.0.1 to 127.0.0.3, which Linux has without
// being told.
func TestRoundRobinDNS(t *testing.T) {
	plain(t)
	scenario(t)
	f := newFarm(t, 3, true)
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	var addrs []net.IP
	for i, n := range f.nodes {
		ip := net.IPv4(127, 0, 0, byte(1+i))
		addr := net.JoinHostPort(ip.String(), port)
		n.http.Store(&addr)
		addrs = append(addrs, ip)
	}
	f.shortDrains()
	f.formTogether()
	dns := startDNS(t, addrs)
	l := f.loadAt(&frontDoor{addr: net.JoinHostPort("shop.test", port), dial: dns.dialer().DialContext})
	l.restarted()
	l.oneKilled()
	l.finish()
	if n := dns.asked.Load(); n < 100 {
		t.Errorf("the DNS was asked %d times only", n)
	}
}

// nameServer answers every question for an address with all of its addresses, each time beginning with the
// next one.
type nameServer struct {
	conn  net.PacketConn
	addrs []net.IP
	asked atomic.Int64
}

func startDNS(t *testing.T, addrs []net.IP) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, addrs: addrs}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return s
}

// dialer returns one that asks this server.
func (s *nameServer) dialer() *net.Dialer {
	ask := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}
	return &net.Dialer{Timeout: 2 * time.Second, Resolver: &net.Resolver{PreferGo: true, Dial: ask}}
}

func (s *nameServer) serve() {
	buf := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		if a := s.answer(buf[:n]); a != nil {
			s.conn.WriteTo(a, from)
		}
	}
}

const (
	dnsHead = 12
	dnsA    = 1
)

// answer makes the answer to a message with one question, and nil of anything else.
func (s *nameServer) answer(msg []byte) []byte {
	end := dnsHead
	for end < len(msg) && msg[end] != 0 {
		end += 1 + int(msg[end])
	}
	end += 1 + 4 // the end of the name, type and class
	if end > len(msg) || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return nil
	}
	out := append([]byte(nil), msg[:end]...)
	binary.BigEndian.PutUint16(out[2:], 0x8580) // an answer, by who knows
	for i := 6; i < dnsHead; i++ {
		out[i] = 0
	}
	if binary.BigEndian.Uint16(msg[end-4:]) != dnsA {
		return out // there are none of that kind
	}
	first := int(s.asked.Add(1))
	binary.BigEndian.PutUint16(out[6:], uint16(len(s.addrs)))
	for i := range s.addrs {
		// The name asked for, class IN, for 0 seconds, 4 bytes.
		out = append(out, 0xc0, dnsHead, 0, dnsA, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, s.addrs[(first+i)%len(s.addrs)].To4()...)
	}
	return out
}
