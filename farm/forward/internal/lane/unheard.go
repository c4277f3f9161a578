package lane

import (
	"net"
	"time"
)

// PathAdvice says where to look if what is sent to a peer is lost again and again, while the peer lives.
const PathAdvice = "small packets get through, so look for a lower MTU on the way between the two nodes, " +
	"and whether ICMP is dropped there"

const (
	// vainAfter is how many times in a row the system may send the same again before its connection is given up:
	// six seconds and more with what is usual, because the time between two of them doubles.
	vainAfter = 5

	// vainTime is for how long this has to go on at least. Where the system waits for milliseconds only before it
	// sends again (rto_min of a route), five times are over in a moment, in which any path may lose what is sent.
	vainTime = 2 * time.Second
)

// vain follows, over many looks, how often in a row the system has sent the same again. The zero vain is ready.
type vain struct {
	since time.Time // of the first look of a row; zero = there is none
	times int       // at the last look
}

// look takes what one look has found. It reports whether the connection is to be given up.
func (v *vain) look(times int, now time.Time) bool {
	switch {
	case times == 0:
		v.since = time.Time{}
	case v.since.IsZero() || times < v.times: // something was acknowledged between two looks
		v.since = now
	}
	v.times = times
	return times >= vainAfter && now.Sub(v.since) >= vainTime
}

// unheard looks whether what was sent on a lane has been lost again and again, be it that other packets get
// through: a path may swallow the large ones alone. The system would go on for a quarter of an hour. A slow
// reader is not meant: its system acknowledges what comes. One goroutine at a time may call it.
func (c *lane) unheard() bool {
	tcp := beneath(c.Conn)
	return tcp != nil && c.vain.look(retransmissions(tcp), time.Now())
}

// cutOff closes a connection at once. What was sent and not acknowledged is dropped: it would stand before
// the end, and the other end would never learn of it.
func cutOff(c net.Conn) {
	if tcp := beneath(c); tcp != nil {
		tcp.SetLinger(0)
	}
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn() // TLS would say goodbye first, and wait
	}
	c.Close()
}

// beneath returns the connection of the system's that c is made of, nil if there is none.
func beneath(c net.Conn) *net.TCPConn {
	for {
		switch of := c.(type) {
		case *net.TCPConn:
			return of
		case interface{ NetConn() net.Conn }:
			c = of.NetConn()
		default:
			return nil
		}
	}
}
