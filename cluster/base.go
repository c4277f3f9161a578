package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/standing"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// base is what the parts of a node have in common: how it is set up, who it is, and what is known of it and
// of the others. It knows none of the parts. openWith and open fill it in before the first goroutine of a
// part starts. After that only the pointers to the present Raft instance and to the state for reads change.
// All else has a lock of its own, under which no other is taken, but for this order:
//
//	fitness > standing, orders
type base struct {
	cfg       Config
	hooks     hooks
	log       *slog.Logger
	id        string // NodeID
	runID     string // random, of this process
	started   uint64 // Unix ms
	advertise string
	dir       *disk.Dir // nil in memory mode
	trust     *trust.Trust
	port      *port.Port

	standing  *standing.Standing // who this node is, and what it has promised
	directory *roster.Directory
	peers     *link.Set
	fit       fitness
	progress  progress
	changed   broadcast.Signal
	failure   failure
	departure departure
	warned    warnings
	meters    meters
	unison    unison
	workers   workers
	local     atomic.Pointer[replica.State] // for reads
	inst      atomic.Pointer[instance]      // the present Raft instance

	ctx     context.Context // ends when the node begins to stop
	stopped chan struct{}   // closed when nothing is answered any more
}

func newBase(cfg Config, h hooks) *base {
	return &base{cfg: cfg, hooks: h, log: cfg.Logger, runID: randomHex(4),
		started: uint64(time.Now().UnixMilli()), directory: roster.New(2 * handshakeTimeout),
		failure: newFailure(), fit: fitness{unfit: make(chan struct{}, 1)}, stopped: make(chan struct{})}
}

// spawn starts a goroutine that Close waits for. It reports false, and does nothing, if it is too late for
// that.
func (b *base) spawn(f func()) bool { return b.workers.start(f) }

func (b *base) instance() *instance { return b.inst.Load() }
func (b *base) fsm() *replica.State { return b.instance().fsm }
func (b *base) durable() bool       { return b.dir != nil }

// gossipName is what gossip knows this run by: a restarted node has a new name, so nothing has to be refuted.
func (b *base) gossipName() string { return b.id + "." + b.runID }

// ownAddr reports whether addr, an IP address with port, is this node's.
func (b *base) ownAddr(addr string) bool {
	bound := b.port.Addr()
	if addr == b.advertise || addr == bound.String() {
		return true
	}
	_, p := splitAddr(addr)
	return bound.Addr().IsUnspecified() && p == int(bound.Port()) && onThisMachine(addr)
}

// fail notes a permanent refusal: this node will never be a member as it is configured.
func (b *base) fail(err error) {
	if b.failure.set(fmt.Errorf("cluster: %w", err)) {
		b.log.Error("this node cannot be a member", keyError, err)
	}
}

// whoami is what a node says of itself in handshakes.
type whoami struct {
	level   byte // in force in its farm
	speaks  byte // the highest level it speaks
	cluster string
	server  string
	boot    uint64
	origin  uint64
	last    uint64
}

func (w whoami) hello(c wire.Code, dest string) wire.Hello {
	return wire.Hello{Level: w.level, Code: c, Cluster: w.cluster, Source: w.server, Boot: w.boot,
		Origin: w.origin, Last: w.last,
		Dest: dest}
}

func (b *base) self() whoami {
	unfit := b.fit.err() != nil // first: a new incarnation begins with a log that counts
	id := b.standing.Identity()
	w := whoami{level: wire.LevelFirst, speaks: b.hooks.maxLevel, cluster: id.ClusterID,
		server: wire.ServerID(id.NodeID, id.Incarnation), boot: id.Boot}
	if in := b.inst.Load(); in != nil && in.server == w.server {
		w.level, w.origin, w.last = in.fsm.Level(), in.origin.id, in.last()
	}
	if unfit {
		w.last = math.MaxUint64 // nobody knows; that it is less than it was is no news
	}
	return w
}
