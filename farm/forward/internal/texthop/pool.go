package texthop

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	leastLinks = 4                // to this peer, however few descriptors there are
	maxIdle    = 16               // idle connections kept for each peer: they keep others out of it
	idleTime   = 30 * time.Second // after which an idle connection is closed
	maxDials   = 32               // under way to one peer: as many as the cluster lets one protocol have
	slowDials  = 2                // under way to one peer for those who use connections up
	lineTime   = 10 * time.Second // for a connection, while others get some

	// mostWasteful is how many requests of one client that uses connections up may wait for one peer. Each holds
	// its client's connection, and nobody notices that the client has gone as long as its body is unread.
	mostWasteful = 8
)

var errLine = errors.New("no connection has become free")

// pool holds the connections to one peer. One carries one exchange at a time.
//
// Nobody dials for himself. Who finds no idle connection waits in a line, and as many are dialled as there
// are waiters, up to maxDials at once, few and slowly for those who use connections up. Whatever becomes
// free, dialled or given back, goes to the next in line, or stays idle. So a request that is given up
// meanwhile costs nothing: its place in the line is free, and the connection is for the next one.
type pool struct {
	transport *http.Transport
	ctx       context.Context // ends with close
	cancel    context.CancelFunc
	dials     *sync.WaitGroup // of those under way
	take      func(few bool) bool
	give      func()

	mu      sync.Mutex
	idle    []*link            // newest last; guarded by mu
	links   map[*link]struct{} // all of them; guarded by mu
	line    line               // of those who wait; guarded by mu
	losses  losses             // guarded by mu
	dialing int                // dials under way for those; guarded by mu
	slow    int                // dials under way for the wasteful, or paused after; guarded by mu
	reached int                // dials that have succeeded; guarded by mu
	closed  bool               // guarded by mu
}

// link is one connection to a peer.
type link struct {
	*http.ClientConn
	wire  *hopConn
	until *time.Timer // closes the connection when it was idle for long
	name  string      // whose request has it, or had it last; "" = nobody's yet
	from  origin      // of that
}

func newPool(t *http.Transport, dials *sync.WaitGroup, take func(few bool) bool, give func()) *pool {
	if take == nil {
		take, give = func(bool) bool { return true }, func() {}
	}
	p := &pool{transport: t, dials: dials, take: take, give: give, links: make(map[*link]struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// get returns a connection for a request, as soon as there is one.
func (p *pool) get(ctx context.Context, from origin) (*link, error) {
	l, w, err := p.ask(from)
	if w == nil {
		return l, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lineTime, errLine)
	defer cancel()
	select {
	case o := <-w.got:
		l, err = o.link, o.err
	case <-ctx.Done():
		p.leave(w)
		return nil, context.Cause(ctx)
	}
	if err == nil && ctx.Err() != nil { // both at once
		p.pass(l)
		return nil, context.Cause(ctx)
	}
	return l, err
}

// ask returns an idle connection, or else a place in the line.
func (p *pool) ask(from origin) (*link, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errPeerGone
	}
	now := time.Now()
	name := p.losses.name(from, now)
	waste := p.losses.many(name, now)
	for i := len(p.idle) - 1; i >= 0; i-- {
		l := p.idle[i]
		if !l.suits(name, waste) {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1)
		if l.until.Stop() && l.Reserve() == nil {
			l.name, l.from = name, from
			return l, nil, nil
		}
		p.forgetLocked(l)
	}
	if waste && p.line.of(name) >= mostWasteful {
		return nil, nil, errLine
	}
	w := p.line.add(name, from, waste)
	p.dialLocked()
	return nil, w, nil
}

// suits reports whether a free connection may go to one of this name. The wasteful, who use connections up,
// get new ones, and those that they have given back themselves; the others' stay for them.
func (l *link) suits(name string, waste bool) bool { return !waste || l.name == "" || l.name == name }

// leave gives up a place in the line. What came at that moment goes on to the next.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case o := <-w.got:
		if o.link != nil {
			o.link.Release()
			p.offerLocked(o.link)
		}
	default:
		p.line.remove(w)
	}
}

// pass gives a connection back that was not used.
func (p *pool) pass(l *link) {
	l.Release()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offerLocked(l)
}

// put ends the use of a connection. It is kept if it is still good. If not, blame says that the request has
// used it up.
func (p *pool) put(l *link, blame bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if l.Available() > 0 {
		p.losses.gaveBack(l.from, now)
		p.offerLocked(l)
		return
	}
	if blame {
		p.line.lost(l.name)
		p.losses.lost(l.from, now)
	}
	p.forgetLocked(l)
	p.dialLocked()
}

// offerLocked gives a free connection to the next in line, or keeps it.
func (p *pool) offerLocked(l *link) {
	if p.closed {
		p.forgetLocked(l)
		return
	}
	if w := p.line.first(l); w != nil {
		if l.Reserve() != nil {
			p.forgetLocked(l)
			p.dialLocked()
			return
		}
		p.line.serve(w)
		l.name, l.from = w.account.name, w.from
		w.got <- outcome{link: l}
		return
	}
	if l.Available() == 0 || len(p.idle) >= maxIdle {
		p.forgetLocked(l)
		return
	}
	l.until = time.AfterFunc(idleTime, func() { p.expire(l) })
	p.idle = append(p.idle, l)
}

// dialLocked begins as many dials as are wanted.
func (p *pool) dialLocked() {
	for !p.closed && p.dialing < min(p.line.waiting-p.line.wasteful, maxDials) && p.takeRoomLocked() {
		p.dialing++
		p.dials.Go(func() {
			p.dial()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dialing--
			p.dialLocked()
		})
	}
	for !p.closed && p.slow < min(p.line.wasteful, slowDials) && p.takeRoomLocked() {
		p.slow++
		p.dials.Go(p.dialSlowly)
	}
}

// dialSlowly dials for the wasteful. It rests for as long as that took: the busier the two nodes are, the
// longer.
func (p *pool) dialSlowly() {
	began := time.Now()
	p.dial()
	rest := time.NewTimer(time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow--
	p.dialLocked()
}

// dial makes one connection, or tells those who wait for it that there is none.
func (p *pool) dial() {
	p.mu.Lock()
	before, reached := p.line.came, p.reached
	p.mu.Unlock()
	l, err := p.connect()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.give()
		p.failLocked(err, before, p.reached > reached)
		return
	}
	p.reached++
	p.links[l] = struct{}{}
	p.offerLocked(l)
}

func (p *pool) connect() (*link, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	l := &link{}
	ctx = context.WithValue(ctx, linkKey{}, l)
	conn, err := p.transport.NewClientConn(ctx, "http", "peer:80")
	if err != nil {
		return nil, err
	}
	l.ClientConn = conn
	return l, nil
}

// failLocked tells of a dial that failed. If others have succeeded since it began, or there are connections,
// the peer is there, perhaps with as many connections as it takes. One request is enough to go elsewhere
// then; the others may get a connection that becomes free. If not, all go who have waited as long.
func (p *pool) failLocked(err error, before uint64, reached bool) {
	if reached || len(p.links) > 0 {
		if w := p.line.first(nil); w != nil {
			p.line.remove(w)
			w.got <- outcome{err: err}
		}
		return
	}
	for _, w := range p.line.upTo(before) {
		w.got <- outcome{err: err}
	}
}

// expire closes a connection that nobody has needed for a while.
func (p *pool) expire(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(x *link) bool { return x == l })
	p.forgetLocked(l)
}

func (p *pool) forgetLocked(l *link) {
	if _, known := p.links[l]; known {
		delete(p.links, l)
		p.give()
	}
	l.Close()
}

// takeRoomLocked takes the room for one more connection, and reports false if there is none. Each peer may
// have a few whatever the others have.
func (p *pool) takeRoomLocked() bool {
	return p.take(len(p.links)+p.dialing+p.slow < leastLinks)
}

// close cuts every connection, and ends the dials.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cancel()
	for l := range p.links {
		l.Close()
		p.give()
	}
	clear(p.links)
	for _, l := range p.idle {
		l.until.Stop()
	}
	p.idle = nil
	for _, w := range p.line.upTo(p.line.came) {
		w.got <- outcome{err: errPeerGone}
	}
}
