package farmtest

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/farm"
)

const (
	peerPort   = ":7946"
	publicPort = ":80"
)

// Node is one node of a Farm, over all its lives: it can be killed and started again. One that is to be started again
// (farm.ErrRestart) is, as by a supervisor.
type Node struct {
	farm    *Farm
	name    string
	dir     string // "" = in memory
	index   int
	visitor string // where its clients are, on this node's side of any partition

	changes chan struct{} // has room for one: who starts or ends it

	mu    sync.Mutex
	ip    string
	moves int
	lives int
	last  *life // the present life, or the last one; nil before the first
	up    bool
}

// life is a node from one start to the next end: what a process is in a real farm.
type life struct {
	node    *Node
	number  int
	farm    *farm.Farm
	stop    context.CancelFunc // ends Serve
	served  chan error
	cluster string          // its ID, known at the end
	drained atomic.Bool     // by Drain: it need not serve
	over    context.Context // ends with the life
	endLife context.CancelFunc
}

func (f *Farm) newNode(i int) *Node {
	n := &Node{farm: f, name: fmt.Sprintf("n%d", i+1), index: i, ip: fmt.Sprintf("10.0.0.%d", i+1),
		visitor: fmt.Sprintf("192.0.2.%d", i+1), changes: make(chan struct{}, 1)}
	if f.cfg.Durable {
		n.dir = f.t.TempDir()
	}
	return n
}

// Name returns the node's name.
func (n *Node) Name() string { return n.name }

// String returns the node's name.
func (n *Node) String() string { return n.name }

// Up reports whether the node runs: it was not killed or stopped.
func (n *Node) Up() bool { return n.running() != nil }

// Farm returns what runs on the node. While the node is down, that is what ran there last, closed. After Restart it is
// another one.
func (n *Node) Farm() *farm.Farm {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last.farm
}

// URL returns the address of the node's public listener: "http://10.0.0.1".
func (n *Node) URL() string { return "http://" + n.address() }

func (n *Node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ip
}

// running returns the present life, nil if the node is down.
func (n *Node) running() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up {
		return nil
	}
	return n.last
}

// detach ends the present life as far as the Farm is concerned, and returns it.
func (n *Node) detach() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up {
		return nil
	}
	n.up = false
	n.last.endLife()
	n.last.cluster = n.last.farm.Cluster().State().ClusterID
	return n.last
}

// Kill ends the node as kill -9 does: in this instant nobody hears of it any more, and it hears of nobody. A node that is
// down stays down.
//
// What is left of it is closed in the background. Restart waits for that where the node has a data directory, which may
// hold a little more than at the instant of the Kill; nobody was told of that.
func (n *Node) Kill() {
	n.changes <- struct{}{}
	defer func() { <-n.changes }()
	l := n.detach()
	if l == nil {
		return
	}
	n.farm.network.Down(n.address())
	n.farm.remains.Go(func() { l.close() }) // whatever it says: nobody would hear it
}

// Stop ends the node as a termination signal does: it drains, hands over, and remains a member where it has a data
// directory. A node that is down stays down.
func (n *Node) Stop() {
	n.farm.t.Helper()
	n.changes <- struct{}{}
	defer func() { <-n.changes }()
	n.end()
}

// end is Stop, for who changes the node.
func (n *Node) end() {
	n.farm.t.Helper()
	l := n.detach()
	if l == nil {
		return
	}
	if err := l.end(); err != nil && !errors.Is(err, farm.ErrRestart) {
		n.farm.t.Fatalf("farmtest: stopping %s: %v", n.name, err)
	}
}

// Restart starts the node again, with its name, its address, and what is in its data directory. A node that runs is
// stopped first. It does not wait until the node is ready; Settle does.
//
// A farm in memory that has lost all its nodes is founded anew by the one that restarts first.
func (n *Node) Restart() {
	n.farm.t.Helper()
	n.changes <- struct{}{}
	defer func() { <-n.changes }()
	n.end()
	n.start()
}

// Move is Restart on another address.
func (n *Node) Move() {
	n.farm.t.Helper()
	n.changes <- struct{}{}
	defer func() { <-n.changes }()
	n.end()
	n.mu.Lock()
	n.moves++
	n.ip = fmt.Sprintf("10.%d.0.%d", n.moves, n.index+1)
	n.mu.Unlock()
	n.farm.applyFaults()
	n.start()
}

// start begins the next life.
func (n *Node) start() {
	n.farm.t.Helper()
	if err := n.tryStart(); err != nil {
		n.farm.t.Fatalf("farmtest: starting %s: %v", n.name, err)
	}
}

func (n *Node) tryStart() error {
	f := n.farm
	if n.dir != "" {
		f.remains.Wait() // they hold the directory
	}
	ip := n.address()
	f.network.Up(ip)
	l := &life{node: n, served: make(chan error, 1)}
	l.over, l.endLife = context.WithCancel(context.Background())
	cfg := f.config(n, l, ip)
	var err error
	if cfg.Listener, err = f.network.Host(ip).Listen(ip + publicPort); err != nil {
		return err
	}
	f.labelled(func() { err = l.start(cfg) })
	if err != nil {
		cfg.Listener.Close()
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lives++
	l.number, n.last, n.up = n.lives, l, true
	return nil
}

// labelled runs what starts goroutines that end with the farm.
func (f *Farm) labelled(start func()) {
	pprof.Do(context.Background(), pprof.Labels(labelKey, f.label), func(context.Context) { start() })
}

func (l *life) start(cfg farm.Config) error {
	app, err := farm.Open(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	l.farm, l.stop = app, stop
	handler := l.node.farm.cfg.Handler(app)
	l.node.farm.supervisors.Go(func() {
		err := app.Serve(ctx, handler)
		l.served <- err
		if errors.Is(err, farm.ErrRestart) {
			l.node.startAgain(l)
		}
	})
	return nil
}

// startAgain is what a supervisor does after the end of a life with farm.ErrRestart.
func (n *Node) startAgain(l *life) {
	n.changes <- struct{}{}
	defer func() { <-n.changes }()
	if n.running() != l || n.farm.ended.Load() {
		return
	}
	n.detach()
	if err := l.end(); !errors.Is(err, farm.ErrRestart) {
		n.farm.t.Errorf("farmtest: the end of %s, which is to start again: %v", n.name, err)
	}
	if err := n.tryStart(); err != nil {
		n.farm.t.Errorf("farmtest: starting %s again: %v", n.name, err)
	}
}

// end stops the node gracefully.
func (l *life) end() error {
	l.stop()
	err := <-l.served
	if closeErr := l.farm.Close(); err == nil {
		err = closeErr
	}
	return err
}

// close stops the node at once.
func (l *life) close() error {
	err := l.farm.Close()
	<-l.served // ErrClosed, or what ended it before
	l.stop()
	return err
}
