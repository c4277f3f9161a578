package forward

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/limit"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// stage is how far a Gate is in its life. It goes forward, and back by Reopen and Suspend alone.
type stage int32

const (
	starting stage = iota // cannot serve by itself: not a caught-up member yet, or suspended
	open                  // requests go through
	draining              // this node is stopping
)

func (s stage) String() string { return [...]string{"starting", order.Ready, order.Draining}[s] }

// bodiesKept is how many bytes of bodies of more than 16 KiB a node keeps.
const bodiesKept = 64 << 20

// Gate stands between the listeners of a node and its application. Open makes one; Close it.
type Gate struct {
	cfg     Config
	peers   Peers
	hop     *hop
	ingress *ingress // of the peer port
	routes  *routes  // nil = none
	limit   *limit.Limiter
	bodies  *lane.Memory // for those of clients that are kept for another attempt

	stage    atomic.Int32                 // changed under stageMu
	able     atomic.Bool                  // this node could serve by itself: Admit was called, and no Suspend after it
	why      atomic.Pointer[string]       // why it cannot, as the last Suspend says; nil = it is starting
	local    atomic.Pointer[http.Handler] // the application; nil until Handler
	clients  counter                      // public requests, served here or forwarded
	handlers counter                      // handlers of the application
	passes   passList                     // clients and handlers, by name
	streams  streams                      // those of them that last
	opened   chan struct{}                // closed when the gate is open for the first time

	stageMu  sync.Mutex // before the lock of streams
	drainage *drainage  // guarded by stageMu

	tagMu     sync.Mutex // orders announcements
	announced string     // TagGate as the peers know it; guarded by tagMu

	lost      seldom       // see tellFailure
	holdUntil time.Time    // see hold
	held      atomic.Int32 // requests that hold keeps

	done   context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Open starts a Gate: it watches the peers and answers what they forward. It is closed to clients until
// Admit.
func Open(peers Peers, cfg Config) (*Gate, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: cfg.withDefaults(), peers: peers, opened: make(chan struct{}), drainage: newDrainage()}
	g.holdUntil = time.Now().Add(g.cfg.Hold)
	g.hop = newHop(peers, g.cfg, g.hold)
	g.routes, _ = newRoutes(cfg.Routes) // valid: see Validate
	g.limit = newLimiter(cfg.MaxRunning)
	g.bodies = lane.NewMemory(bodiesKept)
	g.ingress = g.newIngress()
	g.done, g.cancel = context.WithCancel(context.Background())
	g.wg.Go(func() { g.hop.follow(g.done) })
	g.wg.Go(g.watchProcessors)
	g.ingress.serve(g.wg.Go) // until Close closes it
	g.announceHop()
	return g, nil
}

// Handler installs the application and returns what belongs on the public listener. It panics when it is
// called a second time: the stack exists once, outermost.
func (g *Gate) Handler(local http.Handler) http.Handler {
	local = g.around(local)
	if !g.local.CompareAndSwap(nil, &local) {
		panic("farm: the handler stack is installed already; " +
			"install it once, outermost, and mount everything inside it")
	}
	g.announce()
	return stack{gate: g}
}

// stack is what Handler returns.
type stack struct {
	gate      *Gate
	outermost bool
}

func (s stack) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.gate.serve(w, r, s.outermost) }

// Outermost returns what Gate.Handler has returned for a server that gives its requests to nothing else: most of
// them need not be copied then to have a context of their own.
func Outermost(h http.Handler) http.Handler {
	if s, ok := h.(stack); ok {
		s.outermost = true
		return s
	}
	return h
}

// Admit opens the gate: this node can serve, as a caught-up member. While it drains, that has to wait for
// Reopen.
func (g *Gate) Admit() {
	g.stageMu.Lock()
	g.able.Store(true)
	g.why.Store(nil)
	g.openLocked()
	g.stageMu.Unlock()
	g.announce()
}

// Suspend closes the gate until the next Admit: this node cannot serve by itself for the time being. Clients'
// requests go to peers, and those of peers are refused, so that they go elsewhere too. What runs already is
// finished here. why is for people, as Ready says it: a few words, then after a colon what may name nodes.
func (g *Gate) Suspend(why string) {
	g.stageMu.Lock()
	g.able.Store(false)
	g.why.Store(&why)
	if stage(g.stage.Load()) == open {
		g.stage.Store(int32(starting))
	}
	g.stageMu.Unlock()
	g.announce()
}

// openLocked goes from starting to open, if this node can serve.
func (g *Gate) openLocked() {
	if !g.able.Load() || stage(g.stage.Load()) != starting {
		return
	}
	g.stage.Store(int32(open))
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

// Ready returns nil while this node answers clients as it should, and otherwise the reason why a balancer
// should not send it any.
func (g *Gate) Ready() error {
	switch s := stage(g.stage.Load()); {
	case s == draining && g.cfg.Awaits != nil && g.cfg.Awaits() != "":
		return errors.New(s.String() + ": its stop waits for " + g.cfg.Awaits())
	case s == starting && g.why.Load() != nil:
		return errors.New(*g.why.Load())
	case s != open:
		return errors.New(s.String())
	case g.cfg.Role == cluster.Staging:
		return errors.New("staging")
	case g.local.Load() == nil:
		return errors.New("no application yet")
	case g.cfg.Isolated != nil && g.cfg.Isolated():
		return errors.New("isolated: no contact to a majority of the farm")
	case g.cfg.Role == cluster.Front && !g.hop.anyPeer():
		return errors.New("no peer to forward to")
	}
	return nil
}

// announceHop tells the peers that this node takes requests by Proto.
func (g *Gate) announceHop() {
	if err := g.peers.SetTag(TagHop, hopLanes); err != nil {
		g.cfg.Logger.Warn("gossip of the hop's protocol failed", "err", err)
	}
}

// announce tells the peers whether they may choose this node.
func (g *Gate) announce() {
	if tag, err := g.gossipStage(); err != nil { // said without the lock: the logger is code of the program
		g.cfg.Logger.Warn("gossip of the gate's stage failed", "stage", tag, "err", err)
	}
}

// gossipStage gossips the stage, if that is due.
func (g *Gate) gossipStage() (tag string, err error) {
	g.tagMu.Lock()
	defer g.tagMu.Unlock()
	if g.local.Load() == nil {
		return "", nil // not yet
	}
	if tag = g.tag(); tag == g.announced {
		return tag, nil
	}
	if err = g.peers.SetTag(TagGate, tag); err == nil {
		g.announced = tag
	}
	return tag, err
}

// tag returns TagGate.
func (g *Gate) tag() string {
	g.stageMu.Lock()
	defer g.stageMu.Unlock()
	switch s := stage(g.stage.Load()); {
	case s == starting:
		return ""
	case s == draining && g.drainage.drained:
		return order.Drained
	default:
		return s.String()
	}
}

// serveClient answers one request of the public listener.
func (g *Gate) serveClient(w http.ResponseWriter, r *http.Request) { g.serve(w, r, false) }

// serve is serveClient. outermost says that nobody but a server looks at r.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request, outermost bool) {
	if g.answerHealth(w, r, g.cfg.ShowNodes) {
		return
	}
	if r.Method == "PRI" && r.RequestURI == "*" { // HTTP/2 without TLS begins so; net/http hands it to handlers
		w.Header().Set("Connection", "close")
		http.Error(w, "no HTTP/2 without TLS", http.StatusHTTPVersionNotSupported)
		return
	}
	p := &pass{gate: g, outermost: outermost, Info: Info{Node: g.cfg.Node, Via: g.cfg.Node}}
	g.arrive(r, p)
	p.lines[2] = p.ID
	w.Header()[idHeader] = p.lines[2:3:3]
	g.clients.enter()
	defer g.clients.leave()
	s := stage(g.stage.Load())
	if s == draining && g.parts() {
		w.Header().Set("Connection", "close") // HTTP/2: GOAWAY
	}
	p.Context = r.Context()
	if d := g.timeout(r); d > 0 {
		ctx, cancel := context.WithTimeout(p.Context, d)
		defer cancel()
		p.Context = ctx
	}
	// net/http asks its own request whether an answer has a body, and handlers take a HEAD for a GET.
	if outermost && reqcopy.Bodiless(r) && r.Method != http.MethodHead {
		*r = *r.WithContext(p)
		g.serveStage(w, r, s)
		return
	}
	reqcopy.Share(r)
	c := r.WithContext(p)
	defer reqcopy.Return(r, c)
	g.serveStage(w, c, s)
}

// serveStage answers a request as it is done in a stage.
func (g *Gate) serveStage(w http.ResponseWriter, r *http.Request, s stage) {
	switch {
	case r.Method == http.MethodConnect:
		w.Header().Set("Connection", "close") // what follows may be meant for a tunnel
		ServeProblem(w, r, problemConnect)
	case g.cfg.Role == cluster.Staging && !(s == open && g.cfg.Admits != nil && g.cfg.Admits(r)):
		leaveUnread(w, r)
		ServeProblem(w, r, problemStaging)
	case s == open && g.cfg.Role != cluster.Front:
		g.serveHere(w, r)
	default:
		g.passOn(w, r)
	}
}

// serveLocal runs the application's handler.
func (g *Gate) serveLocal(w http.ResponseWriter, r *http.Request) {
	g.handlers.enter()
	defer g.handlers.leave()
	g.show(w.Header(), FromContext(r.Context()))
	(*g.local.Load()).ServeHTTP(w, r)
}

// closeWait is how long Close waits for handlers whose requests were cut off.
const closeWait = time.Second

// Close ends everything at once: forwarded requests in both directions are cut off. It waits, for handlers
// that do not heed the end of their context only a second. To finish them first, Retire and Idle.
func (g *Gate) Close() error {
	g.stageMu.Lock()
	g.beginDrainLocked()
	g.cancel()
	g.stageMu.Unlock()
	g.streams.drain(0, nil, nil).tellAll() // those that nobody has told yet
	err := g.ingress.close()
	g.hop.close()
	g.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	g.Idle(ctx)
	return err
}
