package configsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// lab is a farm in a bubble: a log, and nodes which can be cut off from it and from each other, stopped, started
// again, and put back to an old snapshot. The first node that is connected leads.
type lab struct {
	t  testing.TB
	mu sync.Mutex

	log   [][]byte // commands; guarded by mu, and so is what follows
	times []time.Time
	nodes []*labNode

	// allLead has every node lead that is connected.
	allLead bool

	together int // commands that were proposed by ProposeTogether

	// vote, if it is set, changes what members say.
	vote func(*configsync.Vote)

	// watch, if it is set, is called with every state that a node has applied.
	watch func(n *labNode)

	unseen []string // as Unseen says

	depot *depot // of all nodes, for the test's own use
}

// labNode is one node. Its fields are guarded by the lab's mu.
type labNode struct {
	lab     *lab
	name    string
	role    string
	manager *configsync.Manager // nil while it is stopped
	machine *configsync.Machine
	changed chan struct{}
	applied int
	cut     bool // it is neither heard nor hears
	deaf    bool // its log does not go on, but it is heard
	older   bool // its program knows no Strict rollouts

	lag time.Duration // after which it applies what others have proposed

	settings func(*configsync.Settings) // what is special about it
}

var errCut = errors.New("lab: cannot be reached")

func newLab(t testing.TB, nodes int, settings func(*configsync.Settings)) *lab {
	l := &lab{t: t}
	for i := range nodes {
		l.nodes = append(l.nodes, &labNode{lab: l, name: fmt.Sprint("n", i+1), settings: settings})
	}
	for _, n := range l.nodes {
		n.start()
	}
	t.Cleanup(func() {
		for _, n := range l.nodes {
			n.stop()
		}
	})
	return l
}

// start opens the node's Manager over an empty machine, to which the log is applied again.
func (n *labNode) start() { n.startFrom(nil) }

// startFrom is start with a snapshot, which was taken when so much of the log was applied.
func (n *labNode) startFrom(snapshot []byte, applied ...int) {
	n.lab.mu.Lock()
	n.fresh(snapshot, applied...)
	s := configsync.Settings{Node: n.name, Role: n.role, Log: n, Local: n.local, Changed: n.changed, Peers: n,
		Configs: []configsync.Declared{site, other}, Logger: slog.New(slog.DiscardHandler)}
	if n.settings != nil {
		n.settings(&s)
	}
	n.lab.mu.Unlock()
	m, err := configsync.New(s)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	n.lab.mu.Lock()
	n.manager = m
	n.lab.mu.Unlock()
	n.lab.spread()
}

// fresh gives the node another machine. The lab is locked.
func (n *labNode) fresh(snapshot []byte, applied ...int) {
	if n.changed == nil {
		n.changed = make(chan struct{}, 1)
	}
	n.machine, n.applied = configsync.NewMachine(n.changed), 0
	if snapshot != nil {
		if err := n.machine.Restore(bytes.NewReader(snapshot)); err != nil {
			n.lab.t.Error(err)
		}
		n.applied = applied[0]
	}
}

func (n *labNode) stop() {
	n.lab.mu.Lock()
	m := n.manager
	n.manager = nil
	n.lab.mu.Unlock()
	if m != nil {
		m.Close()
	}
}

// running returns the node's Manager, for what may run while it is stopped; nil if it is.
func (n *labNode) running() *configsync.Manager {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return n.manager
}

// set changes fields of the lab while nodes run.
func (l *lab) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// cutOff cuts the node off, or connects it again.
func (n *labNode) cutOff(cut bool) {
	n.lab.mu.Lock()
	n.cut = cut
	n.lab.mu.Unlock()
	n.lab.spread()
}

// muffle keeps the log from the node, or lets it have that again.
func (n *labNode) muffle(deaf bool) {
	n.lab.mu.Lock()
	n.deaf = deaf
	n.lab.mu.Unlock()
	n.lab.spread()
}

// spread applies the log to all nodes that are connected.
func (l *lab) spread() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		n.catchUpLocked()
	}
}

func (n *labNode) catchUpLocked() (answer []byte) {
	for !n.cut && !n.deaf && n.applied < len(n.lab.log) {
		i := n.applied
		n.applied++
		answer = n.machine.Apply(uint64(n.applied), n.lab.times[i], n.lab.log[i])
		if n.lab.watch != nil {
			n.lab.watch(n)
		}
	}
	return answer
}

func (n *labNode) local() *configsync.Machine {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return n.machine
}

// Propose implements configsync.Log.
func (n *labNode) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if n.cut || n.deaf {
		return 0, nil, errCut
	}
	n.lab.log, n.lab.times = append(n.lab.log, bytes.Clone(cmd)), append(n.lab.times, time.Now())
	index := uint64(len(n.lab.log))
	answer := n.catchUpLocked()
	for _, o := range n.lab.nodes {
		if o.lag == 0 || o == n {
			o.catchUpLocked()
			continue
		}
		time.AfterFunc(o.lag, n.lab.spreadTo(o))
	}
	return index, answer, nil
}

// ProposeTogether is Propose for what all nodes are to apply at nearly the same moment.
func (n *labNode) ProposeTogether(ctx context.Context, cmd []byte) (uint64, []byte, error) {
	n.lab.set(func() { n.lab.together++ })
	return n.Propose(ctx, cmd)
}

// Barrier implements configsync.Log.
func (n *labNode) Barrier(context.Context) error {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if n.cut || n.deaf {
		return errCut
	}
	return nil
}

// Members implements configsync.Peers.
func (n *labNode) Members() (out []configsync.Member) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	for _, o := range n.lab.nodes {
		out = append(out, configsync.Member{Name: o.name, Role: o.role,
			Reachable: o.manager != nil && (o == n || !o.cut && !n.cut), Strict: !o.older})
	}
	return out
}

// Leads implements configsync.Peers.
func (n *labNode) Leads() bool {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	i := slices.IndexFunc(n.lab.nodes, func(o *labNode) bool { return o.manager != nil && !o.cut && !o.deaf })
	return i >= 0 && n.lab.nodes[i] == n || n.lab.allLead && !n.cut && !n.deaf
}

// spreadTo returns what applies the log to a node.
func (l *lab) spreadTo(n *labNode) func() { return func() { l.set(func() { n.catchUpLocked() }) } }

// Hold implements configsync.Peers.
func (n *labNode) Hold(ctx context.Context, member string, rollout uint64) error {
	m, err := n.reach(member)
	if err == nil {
		err = m.Hold(ctx, rollout)
	}
	return err
}

// Unseen implements configsync.Peers.
func (n *labNode) Unseen() []string {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return n.lab.unseen
}

// reach returns the manager of a node that can be reached from n.
func (n *labNode) reach(name string) (*configsync.Manager, error) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	for _, o := range n.lab.nodes {
		if o.name == name && o.manager != nil && (o == n || !o.cut && !n.cut) {
			return o.manager, nil
		}
	}
	return nil, errCut
}

// Stage implements configsync.Peers.
func (n *labNode) Stage(ctx context.Context, member string, rollout uint64,
	progress func(configsync.NodeProgress)) (configsync.Vote, error) {
	m, err := n.reach(member)
	if err != nil {
		return configsync.Vote{}, err
	}
	v, err := m.Stage(ctx, rollout, progress)
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if n.lab.vote != nil {
		n.lab.vote(&v)
	}
	return v, err
}

// Confirm implements configsync.Peers.
func (n *labNode) Confirm(ctx context.Context, member string, rollout uint64) (configsync.Health, error) {
	m, err := n.reach(member)
	if err != nil {
		return configsync.Health{}, err
	}
	return m.Confirm(ctx, rollout)
}

// banner returns what a node shows.
func (n *labNode) banner() string { return site.Get(n.manager.Context(context.Background())).Banner }

// want checks what all nodes show that run, and that their states are the same bytes.
func (l *lab) want(banner string) {
	l.t.Helper()
	first := l.snapshot(l.nodes[0])
	for _, n := range l.nodes {
		if n.manager == nil {
			continue
		}
		if err := n.manager.Usable(); err != nil || n.banner() != banner {
			l.t.Errorf("%s shows %q, want %q; %v", n.name, n.banner(), banner, err)
		}
		if !bytes.Equal(l.snapshot(n), first) {
			l.t.Errorf("%s has another state than %s", n.name, l.nodes[0].name)
		}
	}
}

func (l *lab) snapshot(n *labNode) []byte {
	var b bytes.Buffer
	n.local().Snapshot().WriteTo(&b)
	return b.Bytes()
}

// publish publishes files of configuration, by a node.
func (n *labNode) publish(plan configsync.Plan, files ...string) (configsync.Result, error) {
	p := configsync.Publication{Config: configsync.Files{}, Plan: plan}
	p.Epoch, p.Who, p.Why = n.manager.Status().Epoch, "me", "test"
	for i := 0; i < len(files); i += 2 {
		p.Config[files[i]] = files[i+1]
	}
	return n.manager.Publish(context.Background(), p)
}
