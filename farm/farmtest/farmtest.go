package farmtest

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// Config describes a farm. The zero Config is three nodes in memory that answer every request with 404.
type Config struct {
	// Nodes is how many; 0 = 3.
	Nodes int

	// Durable gives each node a data directory, which outlives Kill.
	Durable bool

	// Handler makes the application of a node, at each of its starts; nil = 404.
	Handler func(*farm.Farm) http.Handler

	// Configure may change the configuration of a node before each of its starts; nil = nothing to change. Addresses,
	// listener and network belong to the farm. Sessions are set up for plain HTTP already.
	Configure func(n *Node, c *farm.Config)

	// Logger gets what the nodes log, at every level it is enabled for; nil = shown when the test fails, from Info up.
	Logger *slog.Logger
}

// Farm is a whole farm. Its methods may be called by many goroutines, but those that can fail the test (New, Run,
// Settle, Leader, Restart, Move, Stop) by the test's own, as t.FailNow demands.
type Farm struct {
	// Nodes are all nodes, in the order of their names: n1, n2 and so on. The first one has founded the farm.
	Nodes []*Node

	t       testing.TB
	cfg     Config
	secret  string
	label   string // of every goroutine of this farm
	network *memnet.Network
	journal *journal
	clients transports

	mu        sync.Mutex
	partition [][]*Node
	cuts      [][2]*Node
	elections map[*life][]uint64 // terms that each has won
	publisher *credential.Key    // of what Publish publishes; nil = it has not

	remains     sync.WaitGroup // of killed nodes
	drains      sync.WaitGroup
	supervisors sync.WaitGroup // of lives
	ended       atomic.Bool    // no node is started again
}

// New starts a farm of n nodes and returns it settled. When the test ends, the farm is healed, settled, checked and
// closed.
func New(t testing.TB, n int, handler func(*farm.Farm) http.Handler) *Farm {
	t.Helper()
	return Config{Nodes: n, Handler: handler}.New(t)
}

// Run runs body with a farm of n nodes in a bubble of testing/synctest, where waiting takes no time: an hour of the
// farm's life passes as fast as it can be computed.
func Run(t *testing.T, n int, handler func(*farm.Farm) http.Handler, body func(t *testing.T, f *Farm)) {
	t.Helper()
	Config{Nodes: n, Handler: handler}.Run(t, body)
}

// Run is like the function Run.
func (c Config) Run(t *testing.T, body func(t *testing.T, f *Farm)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) { body(t, c.New(t)) })
}

// New is like the function New.
func (c Config) New(t testing.TB) *Farm {
	t.Helper()
	f := &Farm{t: t, cfg: c.withDefaults(), secret: admin.NewSecret(), label: rand.Text(), network: memnet.New(),
		journal: &journal{}, elections: make(map[*life][]uint64)}
	for i := range f.cfg.Nodes {
		f.Nodes = append(f.Nodes, f.newNode(i))
	}
	t.Cleanup(f.end)
	for _, n := range f.Nodes {
		n.start()
	}
	f.Settle()
	return f
}

func (c Config) withDefaults() Config {
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.Handler == nil {
		c.Handler = func(*farm.Farm) http.Handler { return http.NotFoundHandler() }
	}
	if c.Configure == nil {
		c.Configure = func(*Node, *farm.Config) {}
	}
	return c
}

// Others returns the nodes but those given.
func (f *Farm) Others(but ...*Node) []*Node {
	return slices.DeleteFunc(slices.Clone(f.Nodes), func(n *Node) bool { return slices.Contains(but, n) })
}

// Running returns the nodes that are not killed or stopped.
func (f *Farm) Running() []*Node {
	return slices.DeleteFunc(slices.Clone(f.Nodes), func(n *Node) bool { return n.running() == nil })
}

// farmName is the name of every farm.
const farmName = "farmtest"

// config returns the configuration for the next life of n.
func (f *Farm) config(n *Node, l *life, ip string) farm.Config {
	host := f.network.Host(ip)
	c := farm.Config{
		Farm:    farmName,
		Name:    n.name,
		Dir:     n.dir,
		Peer:    ip + peerPort,
		Admin:   farm.None,
		Join:    f.joinOf(n),
		Secrets: []string{f.secret},

		Supervised: true,
	}
	c.Cluster.Network = host
	c.Session.Cookie.Insecure = true
	c.Logger = f.cfg.Logger
	f.cfg.Configure(n, &c)
	c.Logger = slog.New(&witness{life: l, next: f.nextLog(c.Logger).With("node", n.name).Handler()})
	return c
}

func (f *Farm) nextLog(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(f.journal.handler())
	}
	return l
}

// joinOf returns the peer addresses of the others. A node founds the farm when it is the first to start, or when a farm
// in memory has lost all its nodes.
func (f *Farm) joinOf(n *Node) (join []string) {
	if len(f.Running()) == 0 && (n.lives == 0 || n.dir == "") {
		return nil
	}
	for _, o := range f.Others(n) {
		join = append(join, o.address()+peerPort)
	}
	return join
}

// end is the farm's cleanup.
func (f *Farm) end() {
	if !f.t.Failed() {
		f.converge()
	}
	f.ended.Store(true)
	for _, n := range f.Nodes {
		n.changes <- struct{}{} // until it is started again, if it is just being
		if l := n.detach(); l != nil {
			if err := l.close(); err != nil {
				f.t.Errorf("farmtest: closing %s: %v", n.name, err)
			}
		}
		<-n.changes
	}
	f.remains.Wait()
	f.drains.Wait()
	f.supervisors.Wait()
	f.clients.close()
	f.checkGoroutines()
	f.checkTerms()
	if f.t.Failed() {
		f.journal.show(f.t)
	}
}

// converge checks that the farm comes to rest, if it can: a healed network is all that a majority needs.
func (f *Farm) converge() {
	f.Heal()
	if !f.quorate() {
		return
	}
	if problem := f.settle(); problem != "" {
		f.t.Errorf("farmtest: with the network healed, the farm did not settle within %v: %s", patience, problem)
	}
}
