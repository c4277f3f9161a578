package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Node is one member of a cluster. Open makes it, Close ends it. It puts its parts together and is what a
// program holds; what a part does, and under which lock, stands with the part.
type Node struct {
	*base

	identifying *identifying
	members     *members
	reads       *reads
	logs        *logs
	resets      *resets
	surveys     *surveys
	claims      *claims
	recovery    *recovery
	operators   *operators
	readiness   *readiness
	stopping    *stopping
	handshakes  *handshakes
	news        *news
	connections *connections
	instances   *instances
	rivals      *rivals
	runs        *runs
	mending     *mending
	profile     *profile
	joining     *joining
	forming     *forming
	leveling    *leveling
	gossiping   atomic.Pointer[gossip] // nil until gossip has started

	cancel context.CancelFunc
	end    ending
}

// Open starts a node and returns; it does not wait for the cluster, Ready does. ctx bounds opening only. A
// data directory that another process uses is an error at once. Close the node.
func Open(ctx context.Context, cfg Config) (*Node, error) { return openWith(ctx, cfg, hooks{}) }

// openWith is Open, for tests that change something.
func openWith(ctx context.Context, cfg Config, h hooks) (*Node, error) {
	cfg, h = cfg.withDefaults(), h.withDefaults()
	if err := cfg.validate(h.maxLevel); err != nil {
		return nil, fmt.Errorf("cluster: %w", fault.Config(err))
	}
	n := &Node{base: newBase(cfg, h), end: newEnding()}
	n.assemble()
	n.peers = n.connections.forCalls()
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.open(ctx); err != nil {
		n.cancel()
		return nil, errors.Join(fmt.Errorf("cluster: %w", descriptors.Explain(err)), n.release())
	}
	return n, nil
}

// assemble makes the node's parts. What one has of another is its field; there is nothing else between them.
func (n *Node) assemble() {
	b := n.base
	n.identifying = &identifying{base: b}
	n.members = &members{base: b}
	n.reads = newReads(b, n.members)
	n.leveling = &leveling{base: b, members: n.members, reads: n.reads}
	n.joining = &joining{base: b, members: n.members, gossip: n.gossip}
	n.logs = &logs{base: b, knowsOthers: n.joining.knowsOthers}
	n.profile = newProfile(b)
	n.forming = &forming{base: b, members: n.members, joining: n.joining, logs: n.logs, profile: n.profile}
	n.profile.gossip, n.profile.endFounding = n.gossip, n.forming.endFounding
	n.resets = newResets(b, n.logs)
	n.resets.renamed = n.profile.change
	n.resets.farmless = n.forming.foundAgain
	n.mending = &mending{base: b, members: n.members, resets: n.resets}
	n.handshakes = &handshakes{base: b, members: n.members, leveling: n.leveling, forming: n.forming,
		resets: n.resets}
	n.connections = &connections{base: b, handshakes: n.handshakes, answer: n.answer}
	n.instances = &instances{base: b, members: n.members, leveling: n.leveling, joining: n.joining,
		mending: n.mending, profile: n.profile, resets: n.resets, connections: n.connections}
	n.resets.start = n.instances.start
	n.profile.askStatus = n.handshakes.askStatus
	n.rivals = &rivals{base: b, handshakes: n.handshakes, wake: make(chan struct{}, 1)}
	n.runs = &runs{base: b}
	n.news = &news{base: b, members: n.members, leveling: n.leveling, joining: n.joining, resets: n.resets,
		rivals: n.rivals}
	n.stopping = &stopping{base: b, members: n.members, profile: n.profile}
	n.readiness = &readiness{base: b, members: n.members, reads: n.reads, joining: n.joining, resets: n.resets,
		stopping: n.stopping}
	n.surveys = &surveys{base: b, members: n.members, answer: n.answer, handshakes: n.handshakes}
	n.claims = &claims{base: b, members: n.members}
	n.recovery = &recovery{base: b, members: n.members, surveys: n.surveys, resets: n.resets, claims: n.claims,
		news: n.news, leveling: n.leveling}
	n.operators = &operators{base: b, node: n, members: n.members, reads: n.reads, recovery: n.recovery}
}

// open acquires everything, in the order in which release gives it back reversed, and then starts the loops.
func (n *Node) open(ctx context.Context) (err error) {
	if err := n.identifying.identify(); err != nil {
		return err
	}
	if n.durable() {
		n.mending.loadResync()
		n.joining.loadAddresses()
	}
	if err := n.identifying.checkDir(ctx); err != nil {
		return err
	}
	n.port, err = port.Open(n.cfg.Network, n.cfg.Listen, n.identifying.certificate, n.log)
	if err != nil {
		return err
	}
	n.connections.listen()
	n.port.Listener(protoGossip) // until startGossip does
	if err := n.operators.listen(); err != nil {
		return err
	}
	if n.advertise, err = n.cfg.advertised(ctx, n.hooks.lookup, n.port.Addr().String()); err != nil {
		return fmt.Errorf("advertise: %w", err)
	}
	n.identifying.nameSelf()
	n.joining.lookUp(ctx)
	if err := n.identifying.occupyDir(); err != nil {
		return err
	}
	log, err := n.logs.open()
	if err != nil {
		if log, err = n.logs.placeholder(err); err != nil {
			return err
		}
	}
	in, err := n.instances.start(log)
	if err != nil {
		return err
	}
	n.inst.Store(in)
	n.local.Store(in.fsm)
	if b := n.profile.bytes(); len(b) > roster.MaxMeta {
		return fmt.Errorf("name, version and tags take %d bytes of gossip; at most %d are allowed: %w",
			len(b), roster.MaxMeta, ErrTooLarge)
	}
	g, err := startGossip(n.profile, n.news, n.joining.noteRefusal)
	if err != nil {
		return err
	}
	n.gossiping.Store(g)
	n.start()
	n.log.Info("opened", keyNode, n.cfg.Name, keyAddr, n.advertise, keyServer, in.server, "durable",
		n.durable())
	return nil
}

// start starts the node's loops; every one ends with n.ctx, or when the port is closed.
func (n *Node) start() {
	n.spawn(n.connections.acceptRPC)
	n.spawn(n.connections.acceptRaft)
	n.spawn(n.operators.accept)
	n.spawn(n.forming.form)
	n.spawn(n.joining.join)
	n.spawn(n.profile.spread)
	n.spawn(n.rivals.watch)
	n.spawn(n.readiness.keep)
	n.spawn(n.reads.freshen)
	n.spawn(n.joining.saveAddresses)
	n.spawn(n.resets.run)
	n.spawn(n.profile.testAdvertised)
	n.spawn(n.leveling.watch)
	n.spawn(n.recovery.watchQuorum)
	n.spawn(n.members.watchVoters)
	n.spawn(n.mending.run)
}

func (n *Node) gossip() *gossip { return n.gossiping.Load() }

// ID returns this node's NodeID.
func (n *Node) ID() string { return n.id }

// Addr returns the peer address that others are told, host:port.
func (n *Node) Addr() string { return n.advertise }

// Failed is closed when this node can never be a member as it is configured; Err then says why.
func (n *Node) Failed() <-chan struct{} { return n.failure.done }

// Err returns why this node can never be a member, or nil: ErrNameTaken, ErrOtherFarm, ErrOtherKind,
// ErrVersion, ErrMachine, ErrStalled, ErrDisk, ErrGap, ErrDamaged or ErrDiverged, wrapped.
func (n *Node) Err() error {
	return n.failure.get()
}
