package farm

import (
	"cmp"
	"container/list"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/proxyproto"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const (
	hearTime  = time.Second            // a connection that has sent something so lately may be within a request
	chatTime  = 2 * hearTime           // and one that goes on for so long without one is not
	roomTime  = 100 * time.Millisecond // between two looks for one that may be closed, while none may
	mostSteps = 64                     // of such a look
	mostAdmin = 64                     // connections of the admin listener
	fewConns  = 4096                   // of clients: fewer than a busy site has

	adviceConns = "raise ulimit -n, or LimitNOFILE= of systemd, or set Config.MaxConns"
)

// clients is a listener that holds a bounded number of connections, so that a process has file descriptors
// left for its disk and for the other nodes. When there are as many as there may be, the one that has waited
// longest for its next request is closed for a new one. One within a request never is: when all are, new ones
// wait for their turn in the system's queue.
//
// A connection that has not sent its first request yet gives way after hearTime; and at once, before all
// others, when there are many of its kind: a flood of connections that say nothing displaces itself, and not
// those that are used.
type clients struct {
	net.Listener
	limit   int // 0 = none
	share   int // of one client's network; 0 = none
	exempt  func(net.Conn) bool
	pace    pace
	slow    *slowLog
	log     *slog.Logger
	failing descriptors.Warning // that Accept fails
	full    descriptors.Warning // that there are too many
	greedy  descriptors.Warning // that there are too many of one client
	changed chan struct{}       // holds one: a connection may be closed now that could not, or is gone
	closed  chan struct{}
	once    sync.Once
	watches endWatches

	mu    sync.Mutex
	total int                  // connections that are open; guarded by mu
	fresh list.List            // of *client: those without a request yet, the oldest first; guarded by mu
	idle  list.List            // of *client: those between two requests, idle for longest first, if ordered; guarded by mu
	all   list.List            // of *client: all that are open; guarded by mu
	bare  map[net.Conn]*client // those that are no tcpConn; guarded by mu
	hosts map[string]siblings  // by client.host, those that share bounds; guarded by mu
	shed  int                  // closed for others since that was said; guarded by mu
	later bool                 // shedDown comes again; guarded by mu

	refused int // connections of clients with too many, since that was said; guarded by mu

	ordered   atomic.Bool // idle is kept: there were so many that one had to give way; changed under mu
	orderedAt int         // total at that moment; guarded by mu
	ranks     atomic.Uint64
}

func newClients(l net.Listener, limit int, log *slog.Logger) *clients {
	return &clients{Listener: l, limit: limit, log: log, changed: make(chan struct{}, 1),
		closed: make(chan struct{}), bare: make(map[net.Conn]*client),
		hosts: make(map[string]siblings)}
}

// maxConns returns how many connections of clients there may be, by Config.MaxConns; 0 = no bound.
func maxConns(configured int) int {
	switch {
	case configured > 0:
		return configured
	case configured < 0:
		return 0
	}
	return descriptors.Limit() / 2
}

// maxAdmin returns how many connections the admin listener may hold.
func maxAdmin() int {
	if n := descriptors.Limit(); n > 0 {
		return max(min(n/16, mostAdmin), 8)
	}
	return mostAdmin
}

// Accept waits for the next connection, and for room for it. That the process has no file descriptor left is
// no error: it is waited for, and idle connections give way.
func (c *clients) Accept() (net.Conn, error) {
	for pause := time.Duration(0); ; {
		c.awaitRoom()
		conn, err := c.Listener.Accept()
		if err == nil {
			if conn := c.admit(conn); conn != nil {
				return conn, nil
			}
			pause = 0
			continue
		}
		if !descriptors.Exhausted(err) {
			return nil, err
		}
		if c.failing.Due() {
			c.log.Warn("no connection of a client can be accepted; trying again", "err", descriptors.Explain(err))
		}
		c.close(c.victim(0))
		pause = descriptors.Pause(pause)
		c.sleep(pause, nil)
	}
}

// Close closes the listener. Its connections stay open.
func (c *clients) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// awaitRoom returns when a connection may come: one less than there may be is open, or one could be closed
// for it.
func (c *clients) awaitRoom() {
	for c.crowded() {
		if c.full.Due() {
			c.log.Warn("as many clients are connected as may be, and none of them is idle; others wait",
				"limit", c.limit, "advice", adviceConns)
		}
		if !c.sleep(roomTime, c.changed) {
			return
		}
	}
}

// sleep waits for d, or less if something comes over more, and reports false if the listener was closed.
func (c *clients) sleep(d time.Duration, more <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-more:
	case <-c.closed:
		return false
	}
	return true
}

func (c *clients) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit > 0 && c.total >= c.limit && c.victimLocked() == nil
}

// admit counts a connection, and closes another one for it if there are too many now. It returns nil if it closes this one,
// because its client has as many as it may, and all of them are busy.
func (c *clients) admit(conn net.Conn) net.Conn {
	cl := &client{conn: conn, since: time.Now(), host: hostOf(conn)}
	cl.waits.Store(true)
	told, _ := conn.(*proxyproto.Conn)
	tcp, wrapped := conn.(*net.TCPConn)
	if told != nil {
		tcp, wrapped = told.Conn.(*net.TCPConn)
	}
	exempt := c.exempt != nil && c.exempt(conn)
	if exempt {
		cl.proxy = tcp
	}
	bounded := c.share > 0 && !exempt
	c.mu.Lock()
	var own *client // another one of the same client's, which gives way
	if bounded {
		var ok bool
		if own, ok = c.joinLocked(cl); !ok {
			c.mu.Unlock()
			c.refuse(cl)
			return nil
		}
	}
	c.total++
	cl.all = c.all.PushBack(cl)
	c.waitLocked(cl, &c.fresh)
	if !wrapped {
		c.bare[conn] = cl
	}
	c.mu.Unlock()
	if own != nil {
		own.conn.Close()
	}
	if c.limit > 0 {
		c.shedDown()
	}
	if wrapped {
		t := &tcpConn{TCPConn: tcp, told: told, client: cl, of: c}
		if c.pace.stall > 0 {
			t.out.pace, t.out.cut = c.pace, t.cutOff
			boundUnsent(tcp)
		}
		return t
	}
	return conn
}

// shedDown closes connections until there are no more than may be. Those that look busy are spared, and looked
// at again a little later.
func (c *clients) shedDown() {
	for v := c.victim(c.limit); v != nil; v = c.victim(c.limit) {
		c.close(v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total <= c.limit || c.later {
		return
	}
	c.later = true
	time.AfterFunc(hearTime, func() {
		c.mu.Lock()
		c.later = false
		c.mu.Unlock()
		select {
		case <-c.closed:
		default:
			c.shedDown()
		}
	})
}

// victim returns a connection that has to give way, which does not count from then on; nil if there are at
// most limit, or if none may be closed.
func (c *clients) victim(limit int) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total <= limit {
		return nil
	}
	v := c.victimLocked()
	if v != nil {
		c.shed++
		c.goneLocked(v)
	}
	return v
}

// close closes a connection that has to give way, and says so from time to time.
func (c *clients) close(v *client) {
	if v == nil {
		return
	}
	v.end()
	if c.limit == 0 || !c.full.Due() {
		return
	}
	c.mu.Lock()
	n := c.shed
	c.shed = 0
	c.mu.Unlock()
	c.log.Warn("clients keep more connections open than there is room for; those longest without a request are closed",
		"limit", c.limit, "closed", n, "advice", adviceConns)
}

// victimLocked returns the connection that gives way next; nil if none may.
func (c *clients) victimLocked() *client {
	c.orderLocked()
	now := moment()
	if v := c.freshVictimLocked(now); v != nil {
		return v
	}
	most := c.greediestLocked()
	e := c.idle.Front()
	for range min(c.idle.Len(), mostSteps) {
		if cl := e.Value.(*client); cl.host == most && !cl.heardLately(now) {
			return cl
		}
		e = e.Next()
	}
	for range min(c.idle.Len(), mostSteps) {
		e := c.idle.Front()
		if cl := e.Value.(*client); !cl.heardLately(now) {
			return cl
		}
		c.idle.MoveToBack(e)
	}
	return nil
}

// greediestLocked returns the host that has most of the connections that have been idle longest: of two
// strangers, who has many gives way to who has one. Behind a proxy all have one address, and it is the oldest.
func (c *clients) greediestLocked() (most string) {
	of := make(map[string]int)
	e := c.idle.Front()
	for range min(c.idle.Len(), mostSteps) {
		host := e.Value.(*client).host
		if of[host]++; of[host] > of[most] {
			most = host
		}
		e = e.Next()
	}
	return most
}

// freshVictimLocked returns the oldest connection without a request, as far as it can be told that there is
// none on its way: its time is over, or there is a flood of them. Of these, those that have said nothing go
// first, but for the newer half, which nobody has looked at yet.
func (c *clients) freshVictimLocked(now int64) *client {
	flood := c.fresh.Len() > max(c.total/4, 1)
	e := c.fresh.Front()
	for range min((c.fresh.Len()+1)/2, mostSteps) {
		cl := e.Value.(*client)
		if flood && cl.heard.Load() == 0 || time.Since(cl.since) >= hearTime && !cl.heardLately(now) {
			return cl
		}
		e = e.Next()
	}
	if flood {
		return c.fresh.Front().Value.(*client)
	}
	return nil
}

// hook returns a ConnState that takes note of what the server says about a connection, and then calls next,
// if there is one. It works on nil, too.
func (c *clients) hook(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	if c == nil {
		return next
	}
	return func(conn net.Conn, s http.ConnState) {
		c.note(conn, s)
		if next != nil {
			next(plain(conn), s)
		}
	}
}

func (c *clients) note(conn net.Conn, s http.ConnState) {
	if t, ok := beneath(conn).(*tcpConn); ok && t.client.plain.Load() && c.noteSimply(t.client, s) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, bare := c.findLocked(conn)
	if cl == nil || cl.gone {
		return
	}
	switch s {
	case http.StateActive:
		if !cl.spoke && isHTTP2(conn) { // HTTP/2 is said to be active and idle once before the first request
			cl.prefaced, cl.http2 = true, true
		} else {
			c.waitLocked(cl, nil)
		}
		cl.spoke = true
		cl.plain.Store(!cl.http2)
	case http.StateIdle:
		if cl.prefaced {
			cl.prefaced = false
			return
		}
		cl.heard.Store(0) // that was the request before
		c.waitLocked(cl, &c.idle)
		wake(c.changed)
	case http.StateHijacked:
		c.waitLocked(cl, nil)
		if bare { // nobody says when it is closed
			c.goneLocked(cl)
		}
	case http.StateClosed:
		c.goneLocked(cl)
	}
}

// findLocked returns the client of a connection as the server knows it, and whether it is no tcpConn.
func (c *clients) findLocked(conn net.Conn) (cl *client, bare bool) {
	if cl = c.bare[conn]; cl != nil {
		return cl, true
	}
	if cl = c.bare[beneath(conn)]; cl != nil {
		return cl, true
	}
	if t, ok := beneath(conn).(*tcpConn); ok {
		return t.client, false
	}
	return nil, false
}

// noteSimply does what note does for a connection that goes from one request to the next, which takes no lock. It
// reports false if that is not all.
func (c *clients) noteSimply(cl *client, s http.ConnState) bool {
	switch s {
	case http.StateActive:
		cl.waits.Store(false)
	case http.StateIdle:
		cl.heard.Store(0)
		cl.rank.Store(c.ranks.Add(1))
		cl.waits.Store(true)
	default:
		return false
	}
	return !c.ordered.Load() // else it has to be put where it belongs; orderLocked sees what it does not put there
}

// waitLocked puts a connection at the end of a list, or, with nil, of none.
func (c *clients) waitLocked(cl *client, in *list.List) {
	if cl.place != nil {
		cl.in.Remove(cl.place)
		cl.place = nil
	}
	cl.in = in
	if in == &c.idle {
		cl.rank.Store(c.ranks.Add(1))
	}
	if in == &c.fresh || in == &c.idle && c.ordered.Load() {
		cl.place = in.PushBack(cl)
	}
	cl.waits.Store(in != nil)
}

// orderLocked has idle be kept from now on. As long as nobody has to give way it is not, since it costs each request
// a lock that all share.
func (c *clients) orderLocked() {
	if c.ordered.Swap(true) {
		return
	}
	c.orderedAt = c.total
	var idle []*client
	for e := c.all.Front(); e != nil; e = e.Next() {
		if cl := e.Value.(*client); cl.waits.Load() && cl.place == nil {
			idle = append(idle, cl)
		}
	}
	slices.SortFunc(idle, func(a, b *client) int { return cmp.Compare(a.rank.Load(), b.rank.Load()) })
	for _, cl := range idle {
		cl.in = &c.idle
		cl.place = c.idle.PushBack(cl)
	}
}

// disorderLocked ends that when there are a half of the connections left.
func (c *clients) disorderLocked() {
	if !c.ordered.Load() || c.total > c.orderedAt/2 {
		return
	}
	c.ordered.Store(false)
	for e := c.idle.Front(); e != nil; e = c.idle.Front() {
		e.Value.(*client).place = nil
		c.idle.Remove(e)
	}
}

// goneLocked counts a connection no more.
func (c *clients) goneLocked(cl *client) {
	if cl.gone {
		return
	}
	cl.gone = true
	c.waitLocked(cl, nil)
	delete(c.bare, cl.conn)
	c.partLocked(cl)
	c.all.Remove(cl.all)
	c.total--
	c.disorderLocked()
	wake(c.changed)
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
