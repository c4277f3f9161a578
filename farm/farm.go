package farm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/internal/proxyproto"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
	"github.com/seed48eb2e21/webfarm/farm/internal/unlisten"
	"github.com/seed48eb2e21/webfarm/farm/once"
	"github.com/seed48eb2e21/webfarm/internal/fault"
	"github.com/seed48eb2e21/webfarm/session"
)

// ErrClosed says that the farm was closed.
var ErrClosed = fault.ErrClosed

// Farm is this program's node of the farm. Open makes one, which is alive; Close it.
type Farm struct {
	cfg      Config
	log      *slog.Logger
	opened   time.Time        // when Open was called
	public   net.Listener     // clients, or nil: the application has its own
	port     *net.TCPListener // beneath public; nil: it was not opened here
	clients  *clients
	admin    net.Listener // nil: none
	node     *cluster.Node
	keys     *keyring.Ring
	sessions *session.Manager
	onceNews once.News
	jobs     *once.Client
	configs  *configsync.Manager
	gate     *forward.Gate
	gateNow  atomic.Pointer[forward.Gate] // gate; nil until there is one, for operators who ask early
	health   *http.Server                 // on admin

	contents *contents

	draft atomic.Pointer[order.Draft] // nil = this node watches no folder

	publisherMu sync.Mutex
	publisher   *credential.Key // nil = none was needed yet; guarded by publisherMu

	peerHTTP  *peerHTTP
	uploads   *publish.Server
	operators *http.Server                 // nil: this node takes none
	app       atomic.Pointer[http.Handler] // what is behind the gate; nil until Handler

	pulse    pulse
	admitted chan struct{} // closed once this node serves
	drains   drains
	logged   atomic.Bool // a drain has been told of
	done     context.Context
	cancel   context.CancelCauseFunc // of done
	wg       sync.WaitGroup

	serveMu sync.Mutex
	served  chan struct{} // closed when Serve has returned; nil before it was called; guarded by serveMu

	restarts    chan struct{} // closed when the program is to be started again
	restartWhy  string        // why; guarded by restarts
	restartOnce sync.Once

	asked     chan struct{} // closed when an operator asks this node to leave; see leaveWhenAsked
	leaveOnce sync.Once
	leaving   chan struct{} // closed when Leave begins
	left      chan struct{} // closed when it has ended
	leaveErr  error         // guarded by left
	closeOnce sync.Once
	closeErr  error
}

// Open checks cfg, binds the ports, locks the data directory, starts the node, and returns. It does not wait for the
// other nodes: Ready does that, and Serve may be called at once.
//
// With Config.Dev and several Nodes this process becomes the launcher of the others: Open does not return, unless with an error,
// and the process ends when they have.
func Open(cfg Config) (*Farm, error) {
	if cfg.Dev || cfg.Nodes != 0 {
		var err error
		if cfg, err = cfg.develop(); err != nil {
			return nil, fmt.Errorf("farm: %w", err)
		}
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("farm: %w", fault.Config(err))
	}
	f := &Farm{cfg: cfg, log: cfg.Logger, opened: time.Now(), admitted: make(chan struct{}), asked: make(chan struct{}),
		restarts: make(chan struct{}),
		leaving:  make(chan struct{}), left: make(chan struct{})}
	f.done, f.cancel = context.WithCancelCause(context.Background())
	if err := f.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("farm: %w", err), f.Close())
	}
	f.start()
	f.log.Info("opened", "app", cfg.App, "http", f.Addr(), "admin", f.AdminAddr())
	f.sayFew()
	if len(cfg.strangers) > 0 {
		f.log.Warn("the environment has variables of a farm's that no flag reads; are they spelled wrongly?",
			"unknown", cfg.strangers, "known", cfg.variables)
	}
	return f, nil
}

// open acquires what close releases.
func (f *Farm) open() (err error) {
	if f.cfg.dev.alone && f.cfg.Listener == nil && f.cfg.HTTP != None {
		f.public, err = listenNear(f.cfg.HTTP)
	} else {
		f.public, err = listen(f.cfg.HTTP, f.cfg.Listener)
	}
	if err != nil {
		return fmt.Errorf("public port: %w", err)
	}
	if f.public != nil {
		if f.cfg.Listener == nil { // another process may have a descriptor of that
			f.port, _ = f.public.(*net.TCPListener)
		}
		if f.cfg.ProxyProtocol {
			f.public = proxyproto.NewListener(f.public, f.cfg.trusts, f.log)
		}
		f.clients = newClients(f.public, maxConns(f.cfg.MaxConns), f.log)
		f.clients.pace, f.clients.slow = paceOf(f.cfg), &slowLog{log: f.log}
		f.clients.share = maxPerClient(f.cfg.MaxConnsPerClient, f.clients.limit)
		f.clients.exempt = func(c net.Conn) bool { return f.cfg.trusts(c) || overUnix(c) }
		f.public = f.clients
	}
	if f.admin, err = listen(f.cfg.Admin, nil); err != nil {
		return fmt.Errorf("admin port: %w", err)
	}
	switched := make(chan struct{}, 1)
	machines := map[string]func() cluster.StateMachine{
		machineConfig:  func() cluster.StateMachine { return configsync.NewMachine(switched) },
		machineSession: func() cluster.StateMachine { return session.NewMachine() },
		machineKeyring: func() cluster.StateMachine { return keyring.NewMachine() },
		machineOnce:    func() cluster.StateMachine { return once.NewMachine(&f.onceNews) },
	}
	cc := f.cfg.clusterConfig(f.publicURLHost(), machines)
	cc.Program = cluster.Program{Leave: func() { close(f.asked) }, Order: f.obey, Ask: f.answer,
		Stats: func() any { return f.programStats() }}
	if f.node, err = cluster.Open(f.done, cc); err != nil {
		return err
	}
	if err = f.openSessions(); err != nil {
		return err
	}
	st := f.node.State()
	self, _ := st.Member(st.Self)
	f.peerHTTP = openPeerHTTP(f.node, f.peerMux(), f.cfg)
	if f.contents, err = openContents(f); err != nil {
		return err
	}
	if err = f.openConfigs(self.Name, switched); err != nil {
		return err
	}
	f.openJobs(self.Name)
	fc := f.cfg.forwardConfig(self.ID, self.Name)
	fc.Isolated = func() bool { return !f.cfg.ReadyWithoutQuorum && f.isolated() }
	fc.Admits = f.previews
	fc.Awaits = func() string { return f.node.State().Awaits }
	f.gate, err = forward.Open(f.node, fc)
	f.gateNow.Store(f.gate)
	return err
}

// sayFew says how many clients may be connected, where that is few and nobody has chosen it.
func (f *Farm) sayFew() {
	if f.clients == nil || f.cfg.MaxConns != 0 || f.clients.limit == 0 || f.clients.limit >= fewConns {
		return
	}
	f.log.Info("few file descriptors: so many clients can be connected at a time", "limit", f.clients.limit,
		"advice", adviceConns)
}

func (f *Farm) openSessions() (err error) {
	ring, sessions := f.node.Handle(machineKeyring), f.node.Handle(machineSession)
	f.keys = keyring.New(ring, func() *keyring.Machine { return ring.Local().(*keyring.Machine) })
	store := session.NewReplicated(sessions,
		func() *session.Machine { return sessions.Local().(*session.Machine) },
		func() string { return f.node.State().ClusterID })
	f.sessions, err = session.New(marking{store}, f.cfg.sessionConfig(f.keys))
	return fault.Config(err)
}

// start runs what is waited for by Close.
func (f *Farm) start() {
	f.pulse.beat(time.Now())
	f.wg.Go(f.keepPulse)
	f.contents.start()
	f.wg.Go(f.peerHTTP.serve)
	f.serveOperators()
	f.wg.Go(f.tellEpoch)
	f.wg.Go(f.hearEpochs)
	f.wg.Go(f.followRestart)
	f.wg.Go(f.rollRestarts)
	f.wg.Go(f.admit)
	if f.cfg.WatchSite != "" {
		f.wg.Go(f.watchSite)
	}
	f.wg.Go(func() { f.keys.Keep(f.done, f.cfg.keeping()) })
	f.wg.Go(f.leaveWhenAsked)
	if f.admin != nil {
		l := newClients(f.admin, maxAdmin(), f.log)
		f.health = &http.Server{Handler: f.gate.Health(), ReadTimeout: 10 * time.Second, ErrorLog: errorLog(f.log),
			ConnState: l.hook(nil)}
		f.wg.Go(func() { f.health.Serve(l) }) // returns when Close closes it
	}
}

// admit opens the gate when this node is a caught-up member, uses the configuration that is in force, and can
// sign sessions.
func (f *Farm) admit() {
	if err := f.node.Ready(f.done); err != nil {
		return // Ready and Serve tell what the node says
	}
	if !f.awaitConfigs() {
		return
	}
	f.configs.Begun()
	for {
		ctx, cancel := context.WithTimeout(f.done, 10*time.Second)
		err := f.keys.Ensure(ctx, f.cfg.keyPurposes()...)
		cancel()
		if err == nil {
			f.gate.Admit()
			close(f.admitted)
			f.log.Info("ready", "after", time.Since(f.opened).Round(time.Millisecond), "http", f.Addr())
			f.introduce()
			f.followRelease()
			return
		}
		f.log.Warn("no key to sign sessions with yet; trying again", "err", err)
		select {
		case <-time.After(time.Second):
		case <-f.done.Done():
			return
		}
	}
}

// listen returns given, if there is one, or listens on addr, unless that is None.
func listen(addr string, given net.Listener) (net.Listener, error) {
	if given != nil || addr == None {
		return given, nil
	}
	l, err := unlisten.Listen(addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another process has this port; end that one, or give this node another port", err)
	}
	if _, wrong := errors.AsType[*net.AddrError](err); wrong {
		err = fault.Config(err)
	}
	return l, err
}

// Ready waits until this node serves: it is a caught-up member. A permanent refusal (a name that is taken, a version that
// does not fit, a data directory that cannot be written) ends the wait with that error, and Close with ErrClosed.
func (f *Farm) Ready(ctx context.Context) error {
	if f.done.Err() != nil {
		return ErrClosed
	}
	select {
	case <-f.admitted:
		return nil
	case <-f.node.Failed():
		return f.node.Err()
	case <-f.done.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("farm: not ready: %w", ctx.Err())
	}
}

// Handler puts the stack of the farm around h: health paths, gate, forwarding, sessions, configuration. It is for an http.Server of the
// application's own; Serve does it by itself. It can be called once, and panics otherwise: h is the whole application.
//
// An application with its own server calls Drain, then shuts its server down, then calls Close.
func (f *Farm) Handler(h http.Handler) http.Handler {
	if h == nil {
		panic("farm: the application's handler is nil: give Serve or Handler a router, http.DefaultServeMux for example")
	}
	app := f.present(f.previewing(f.keepingUp(f.sessions.Handler(f.configs.Handler(f.configs.Repin(h))))))
	f.app.CompareAndSwap(nil, &app)
	return f.gate.Handler(f.door(app))
}

// Router returns a new chi router to build the application with. It removes the files of an uploaded form when the handler is
// done: chi gives handlers a copy of the request, and the server, which removes them otherwise, does not know of that copy. A
// middleware that makes a further copy, such as http.TimeoutHandler, has to remove the files itself (Request.MultipartForm.RemoveAll).
func (f *Farm) Router() chi.Router {
	r := chi.NewRouter()
	r.Use(removeUploads)
	return r
}

// removeUploads is the middleware of Router.
func removeUploads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if r.MultipartForm != nil {
				r.MultipartForm.RemoveAll()
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Cluster returns the node beneath: members, leader, the replicated log.
func (f *Farm) Cluster() *cluster.Node { return f.node }

// Sessions returns the manager of the sessions.
func (f *Farm) Sessions() *session.Manager { return f.sessions }

// ForwardStats returns what this node has to do, and what it thinks of the nodes that it forwards requests to. What there is to
// say of the cluster is in Cluster().Stats.
func (f *Farm) ForwardStats() forward.Stats { return f.gate.Stats() }

// programStats is what operators read beside the figures of the node.
func (f *Farm) programStats() program.Stats {
	g := f.gateNow.Load()
	if g == nil { // the node answers before there is a gate
		return program.Stats{}
	}
	s, jobs := g.Stats(), f.jobs.Stats()
	return program.Stats{Forward: &s, Keys: f.keys.List(), Jobs: &jobs, Config: f.configStatus()}
}

// Addr returns the address of the public listener; "" if there is none.
func (f *Farm) Addr() string { return addrOf(f.public) }

// AdminAddr returns the address of the admin listener; "" if there is none.
func (f *Farm) AdminAddr() string { return addrOf(f.admin) }

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// publicURLHost returns the host:port to tell others for this node's public listener. If it listens on all addresses,
// that is the one on which its peers reach it.
func (f *Farm) publicURLHost() string {
	addr := f.Addr()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return addr
	}
	for _, peer := range []string{f.cfg.Advertise, f.cfg.Peer} {
		h, _, err := net.SplitHostPort(peer)
		if ip := net.ParseIP(h); err == nil && h != "" && (ip == nil || !ip.IsUnspecified()) {
			return net.JoinHostPort(h, port)
		}
	}
	return addr
}

// RequestInfo says how a request came to its handler.
type RequestInfo = forward.Info

// Info returns what is known about the request whose context ctx is: its id, the nodes, whether it was forwarded.
func Info(ctx context.Context) RequestInfo { return forward.FromContext(ctx) }

// Logger returns Config.Logger with what leads from a line to its request: the attributes "request", the id that the client
// got, and "trace", the id of the trace to which it belongs. ctx is the request's context; outside of Handler it is
// slog.Default().
func Logger(ctx context.Context) *slog.Logger { return forward.Logger(ctx) }

// RequestID returns the id of the request whose context ctx is; "" outside of Handler. It is also in the response, as
// X-Request-Id, and the same on every node that a request passes.
func RequestID(ctx context.Context) string { return forward.FromContext(ctx).ID }
