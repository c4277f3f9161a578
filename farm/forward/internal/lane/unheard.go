package lane

import "net"

// PathAdvice says where to look if what is sent to a peer is lost again and again, while the peer lives.
const PathAdvice = "small packets get through, so look for a lower MTU on the way between the two nodes, " +
	"and whether ICMP is dropped there"

// vainAfter is how many times in a row the system may send the same again before its connection is given up:
// six seconds and more, because the time between two of them doubles.
const vainAfter = 5

// unheard reports whether what was sent on a connection has been lost again and again, be it that other
// packets get through: a path may swallow the large ones alone. The system would go on for a quarter of an
// hour. A slow reader is not meant: its system acknowledges what comes.
func unheard(c net.Conn) bool {
	tcp := beneath(c)
	return tcp != nil && retransmissions(tcp) >= vainAfter
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
