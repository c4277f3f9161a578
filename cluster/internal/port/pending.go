package port

import (
	"container/list"
	"net"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
)

// pending holds the connections that have not ended their handshake, by class: a flood of one takes no place
// of another. Under "" are those that have not said yet what they want.
type pending map[link.Class]*pendingQueue

// add takes in a connection, in its place among those of a class. A class has so many at most, and all of
// them together twice as many: then the class that has the most gives way.
func (p pending) add(class link.Class, c *conn, limit int, now time.Time) (evicted *conn, ok bool) {
	q := p[class]
	if q == nil {
		q = &pendingQueue{at: make(map[*conn]*list.Element), hosts: make(map[string]int)}
		p[class] = q
	}
	if p.len() < 2*limit {
		return q.add(c, limit, now)
	}
	most := p.largest(q)
	if most.order.Len() < q.order.Len() || q.order.Len() >= limit {
		return q.add(c, q.order.Len(), now)
	}
	evicted = most.oldestOf(most.greediest()).conn
	most.remove(evicted)
	q.put(c, now)
	return evicted, true
}

// largest returns the queue of the class that has the most, but for one.
func (p pending) largest(but *pendingQueue) *pendingQueue {
	most := &pendingQueue{}
	for _, q := range p {
		if q != but && q.order.Len() > most.order.Len() {
			most = q
		}
	}
	return most
}

func (p pending) remove(c *conn) {
	for _, q := range p {
		q.remove(c)
	}
}

func (p pending) len() (n int) {
	for _, q := range p {
		n += q.order.Len()
	}
	return n
}

// pendingQueue holds connections, the oldest first.
type pendingQueue struct {
	order list.List // of pendingConn
	at    map[*conn]*list.Element
	hosts map[string]int // how many each has
}

type pendingConn struct {
	conn  *conn
	host  string
	since time.Time
}

// add takes c in. When the queue is full, it drops another connection, which the caller closes: of a host
// that has more of them, or the oldest if that has had its time. If there is none, c is not taken.
func (q *pendingQueue) add(c *conn, limit int, now time.Time) (evicted *conn, ok bool) {
	host := hostOf(c)
	if q.order.Len() >= limit {
		oldest := q.order.Front().Value.(pendingConn)
		if greedy := q.greediest(); q.hosts[greedy] > q.hosts[host]+1 {
			oldest = q.oldestOf(greedy)
		} else if now.Sub(oldest.since) < evictAfter {
			return nil, false
		}
		q.remove(oldest.conn)
		evicted = oldest.conn
	}
	q.put(c, now)
	return evicted, true
}

func (q *pendingQueue) put(c *conn, now time.Time) {
	host := hostOf(c)
	q.at[c] = q.order.PushBack(pendingConn{c, host, now})
	q.hosts[host]++
}

// greediest returns a host that has the most.
func (q *pendingQueue) greediest() (host string) {
	for h, n := range q.hosts {
		if n > q.hosts[host] {
			host = h
		}
	}
	return host
}

// oldestOf returns the oldest of a host that has one.
func (q *pendingQueue) oldestOf(host string) pendingConn {
	e := q.order.Front()
	for e.Value.(pendingConn).host != host {
		e = e.Next()
	}
	return e.Value.(pendingConn)
}

func (q *pendingQueue) remove(c *conn) {
	e := q.at[c]
	if e == nil {
		return
	}
	host := e.Value.(pendingConn).host
	q.order.Remove(e)
	delete(q.at, c)
	if q.hosts[host]--; q.hosts[host] == 0 {
		delete(q.hosts, host)
	}
}

// hostOf returns the address at the other end, without its port.
func hostOf(c net.Conn) string {
	addr := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}
