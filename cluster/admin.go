package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Who operates the farm connects to the peer port of any node, with a certificate of the farm's authority for
// that, and asks for one thing. A node answers in whatever state it is. What another node has to do, the
// leader or the one that the request is about, it passes on to that one.

const (
	operatorIdle   = 30 * time.Second // for one piece of what an operator sends, or takes
	operateLimit   = 25 * time.Second // for what is done in between; an operator's tool waits for 30 s
	recoverLimit   = time.Minute      // the same for a recovery, for which it waits longer
	maxOperators   = 16               // connections at once
	refusePatience = time.Second      // for one too many to take that as an answer

	finalizePatience = 10 * time.Second
)

// operators answers those who operate the farm. What they ask for is done by the node's parts. What a program
// can have done as well is done by operated. There is no lock: listen sets calls and identity before anybody
// is served.
type operators struct {
	*base
	node     operated
	members  *members
	reads    *reads
	recovery *recovery

	calls    net.Listener // nil: nobody can operate the farm through this node
	identity *trust.Admin // nil likewise

	askedToLeave atomic.Bool
	takingIn     atomic.Bool // a backup
}

// operated is the part of Node's methods that operators need too.
type operated interface {
	State() State
	Stats() Stats
	Survey(context.Context) (Survey, error)
	Finalize(context.Context) (int, error)
	Leave(context.Context) error
}

// listen makes the peer port take operators, unless anybody could be one: the certificates of a
// node without a secret protect from accidents only.
func (o *operators) listen() error {
	if len(o.cfg.Secrets) == 0 && o.cfg.exposed() != "" {
		return nil
	}
	id, err := o.trust.AdminServer(o.id)
	if err != nil {
		return err
	}
	o.calls, o.identity = o.port.AdminListener(port.ProtoAdmin, id), id
	return nil
}

// OperatorListener returns the connections that operators open to the program on this node: what
// admin.Client's Dial opens. They are mutually authenticated and encrypted. It is nil on a node that takes
// no operators, for it has no secret and is not on loopback alone. To bound how many are served is the
// program's own business. Ask once, and close it.
func (n *Node) OperatorListener() net.Listener {
	if n.operators.identity == nil {
		return nil
	}
	return n.port.AdminListener(port.ProtoProgram, n.operators.identity)
}

func (o *operators) accept() {
	if o.calls == nil {
		return
	}
	slots, waiting := make(chan struct{}, maxOperators), make(chan struct{}, maxOperators)
	for {
		c, err := o.calls.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
			if !o.spawn(func() {
				defer func() { <-slots }()
				o.serve(c)
			}) {
				c.Close()
			}
			continue
		default:
		}
		select {
		case waiting <- struct{}{}:
			if !o.spawn(func() {
				defer func() { <-waiting }()
				o.refuse(c)
			}) {
				c.Close()
			}
		default:
			c.Close()
		}
	}
}

// refuse says that there are too many, so that nobody has to wonder whether something was done.
func (o *operators) refuse(conn net.Conn) {
	c := adminwire.NewConn(o.ctx, conn, refusePatience)
	defer c.Close()
	c.Fail(adminwire.Failed(admin.ErrRefused, "%s serves %d operators already; try again in a moment",
		o.cfg.Name, maxOperators))
	c.Drain()
}

func (o *operators) serve(conn net.Conn) {
	c := adminwire.NewConn(o.ctx, conn, operatorIdle)
	defer c.Close()
	req, err := c.ReceiveRequest()
	if err == nil {
		o.log.Log(o.ctx, levelOf(req.Verb), "an operator asks", "verb", req.Verb, "node", req.Node, "from",
			conn.RemoteAddr())
		err = o.serveRequest(c, req)
	}
	if err != nil {
		o.log.Info("an operator was not served", "verb", req.Verb, "from", conn.RemoteAddr(), keyError, err)
		c.Fail(err)
		c.Drain()
	}
}

// levelOf says how loud a request is: looking is quiet.
func levelOf(verb string) slog.Level {
	switch verb {
	case adminwire.VerbFarm, adminwire.VerbStats, adminwire.VerbSurvey,
		adminwire.VerbAsk: // the program logs what it does
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// serveRequest answers a request, and returns an error if that is still to be sent.
func (o *operators) serveRequest(c *adminwire.Conn, req adminwire.Request) error {
	switch req.Verb {
	case adminwire.VerbBackup:
		return o.serveBackup(c)
	case adminwire.VerbRestore:
		return o.serveRestore(c, req)
	}
	limit := operateLimit
	if req.Verb == adminwire.VerbRecover {
		limit = recoverLimit
	}
	ctx, cancel := context.WithTimeout(o.ctx, limit)
	defer cancel()
	answer, err := o.operate(ctx, req)
	if err != nil {
		return err
	}
	return c.Send(adminwire.KindAnswer, answer)
}

// otherFarm is the refusal of what an operator decided on when the farm was another one.
func otherFarm(was, is string) error {
	return adminwire.Failed(admin.ErrRefused,
		"the farm has changed since you looked at it: it was %s and is %s", was, is)
}

// operate does what an operator asks for, here or on the node whose business it is.
func (o *operators) operate(ctx context.Context, req adminwire.Request) (any, error) {
	switch req.Verb {
	case adminwire.VerbFarm:
		return o.farm(ctx), nil
	case adminwire.VerbStats:
		return o.programStats()
	case adminwire.VerbLeave:
		return nil, o.operateLeave(ctx, req)
	case adminwire.VerbOrder:
		return nil, o.operateOrder(ctx, req)
	case adminwire.VerbAsk:
		return o.askProgram(ctx, req.Words)
	case adminwire.VerbRemove:
		return nil, o.operateRemove(ctx, req)
	case adminwire.VerbFinalize:
		return o.operateFinalize(ctx)
	case adminwire.VerbSurvey:
		return o.operateSurvey(ctx)
	case adminwire.VerbRecover:
		return o.operateRecover(ctx, req)
	}
	return nil, adminwire.Failed(admin.ErrUnsupported, "node %s does not know %q: its version is older",
		o.cfg.Name, req.Verb)
}

func (o *operators) operateFinalize(ctx context.Context) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, finalizePatience)
	defer cancel()
	level, err := o.node.Finalize(ctx)
	switch {
	case errors.Is(err, ErrHeldBack):
		return nil, adminwire.Failed(admin.ErrRefused, "the farm stays at protocol level %d: %v",
			o.node.State().Level, err)
	case errors.Is(err, ErrNoLeader):
		return nil, adminwire.Failed(admin.ErrNoQuorum, "%s finds no leader to raise the protocol level",
			o.cfg.Name)
	case err != nil:
		return nil, err
	}
	return admin.Finalized{Level: level}, nil
}

// passOn has another node do what an operator asks for.
func (o *operators) passOn(ctx context.Context, node string, req adminwire.Request) error {
	b, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, sent, err := o.peers.Call(ctx, node, wire.MethodOperate, b)
	name := node
	if s := o.directory.Get(node); s != nil {
		name = s.Name
	}
	switch {
	case errors.Is(err, ErrVersion):
		return adminwire.Failed(admin.ErrUnsupported, "node %s does not know %q: its version is older", name,
			req.Verb)
	case err != nil && !sent:
		return adminwire.Failed(admin.ErrRefused, "node %s cannot be reached from %s: %v", name, o.cfg.Name,
			err)
	case err != nil:
		return adminwire.Failed(admin.ErrInterrupted,
			"node %s did not answer, so it may or may not have done it: %v", name, err)
	}
	return adminwire.Unpack(out, nil)
}

// knows reports whether a server is configured, or alive by gossip, in which nobody without the secret is
// heard.
func (o *operators) knows(server string) bool {
	if s := o.directory.Get(wire.NodeOf(server)); s != nil && s.Status == roster.Alive &&
		s.Server() == server {
		return true
	}
	return slices.ContainsFunc(o.instance().configuration().Servers, func(srv raft.Server) bool {
		return string(srv.ID) == server
	})
}

// answer does what another member passes on. A certificate for the peer port is not enough for that:
// who has one of an authority outside (PeerTLS), and not the farm's secret, cannot be configured, nor be
// heard in gossip.
func (o *operators) answer(ctx context.Context, from wire.Hello, payload []byte) ([]byte, error) {
	var req adminwire.Request
	if err := json.Unmarshal(payload, &req); err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	if !o.knows(from.Source) {
		return adminwire.Pack(nil, adminwire.Failed(admin.ErrRefused,
			"%s does not know the node that passes this on as a member; "+
				"name another one by -node, such as %s", o.cfg.Name, o.advertise)), nil
	}
	o.log.Info("an operator asks", "verb", req.Verb, "order", req.Order, "node", req.Node)
	switch req.Verb {
	case adminwire.VerbLeave:
		o.beginLeave()
		return adminwire.Pack(nil, nil), nil
	case adminwire.VerbOrder:
		return adminwire.Pack(nil, o.giveOrder(ctx, req.Order)), nil
	case adminwire.VerbRemove:
		return adminwire.Pack(nil, o.bury(ctx, req.Node)), nil
	}
	return nil, fmt.Errorf("%w: %q for an operator", ErrVersion, req.Verb)
}
