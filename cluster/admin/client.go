package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// Config says which farm a Client operates.
type Config struct {
	Farm string // name of the farm; "" = webfarm
	// of the farm, as its nodes have them; empty only for a farm on loopback that has none
	Secrets []string
	Nodes   []string      // peer addresses of members, host:port; one that answers is enough
	Spread  string        // whose client it is: clients of others begin with other Nodes; "" = with the first
	Timeout time.Duration // for one answer, and between two pieces of a backup; 0 = 30 s
	Network Network       // how to reach them; nil = the operating system's
}

// Network is how a client reaches the network; it dials only.
type Network = port.Network

// Client operates a farm. Its methods may be called by many goroutines.
type Client struct {
	cfg Config
	id  *trust.Admin

	nodes nodes
}

// New returns a client. It does not connect yet: an error says that the secrets or the addresses cannot be
// right.
func New(cfg Config) (*Client, error) {
	if cfg.Farm == "" {
		cfg.Farm = "webfarm"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Network == nil {
		cfg.Network = port.System{}
	}
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("admin: no address of a member was given")
	}
	for _, addr := range cfg.Nodes {
		if _, p, err := net.SplitHostPort(addr); err != nil || p == "" {
			return nil, fmt.Errorf("admin: %q is not host:port, such as 10.0.0.1:7946", addr)
		}
	}
	t, err := trust.New(cfg.Farm, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	id, err := t.AdminClient()
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	cfg.Nodes = slices.Clone(cfg.Nodes)
	return &Client{cfg: cfg, id: id, nodes: nodes{given: spread(cfg.Spread, cfg.Nodes)}}, nil
}

// NewSecret returns a new secret for a farm: 256 random bits.
func NewSecret() string { return trust.NewSecret() }

// At returns a client that asks the node at addr and no other.
func (c *Client) At(addr string) *Client {
	one := c.cfg
	one.Nodes = []string{addr}
	return &Client{cfg: one, id: c.id, nodes: nodes{given: one.Nodes}}
}

// PassOver has the node that was connected to last be asked after the others from now on: it is slow, or does
// not do what is asked. Without others it changes nothing.
func (c *Client) PassOver() { c.nodes.passOver() }

// Farm returns the farm as the first node that answers sees it.
func (c *Client) Farm(ctx context.Context) (f Farm, err error) {
	err = c.ask(ctx, adminwire.Request{Verb: adminwire.VerbFarm}, &f)
	if err == nil {
		c.nodes.learn(f)
	}
	// never null for scripts
	f.HeldBack, f.Members = append([]string{}, f.HeldBack...), append([]Member{}, f.Members...)
	return f, err
}

// Stats returns what the first node that answers knows of its own work. ErrRefused: its program is older than
// that.
func (c *Client) Stats(ctx context.Context) (s Stats, err error) {
	err = c.ask(ctx, adminwire.Request{Verb: adminwire.VerbStats}, &s)
	// never null for scripts
	s.Restarts, s.Peers = append([]Restart{}, s.Restarts...), append([]Peer{}, s.Peers...)
	return s, err
}

// Leave asks the member whose NodeID is id to leave the farm for good. It returns when that has begun; the
// member first finishes what it does. ErrRefused says that the others would have no majority, or that it is
// dead.
func (c *Client) Leave(ctx context.Context, id string) error {
	return c.ask(ctx, adminwire.Request{Verb: adminwire.VerbLeave, Node: id}, nil)
}

// Order has the program of the member whose NodeID is id do something that is no business of the cluster, by
// a word that the program knows, such as "drain" (package farm). It returns when that has begun. ErrRefused
// says that the program does not know the word, or does not do it as things are, and why; ErrUnsupported,
// that it is older than orders are.
func (c *Client) Order(ctx context.Context, id, order string) error {
	return c.ask(ctx, adminwire.Request{Verb: adminwire.VerbOrder, Node: id, Order: order}, nil)
}

// Ask asks the program of the first node that answers something that is no business of the cluster, or has
// it do something in the whole farm: the first word is one that the program knows, such as "jobs" (package
// farm). What it answers is put into v, which may be nil. ErrRefused says that it does not do that as things
// are, or does not know the word; ErrNoQuorum, that nothing was done for want of a leader; ErrInterrupted,
// that it may or may not have been done; ErrUnsupported, that the node's version is older than questions
// are.
func (c *Client) Ask(ctx context.Context, v any, words ...string) error {
	return c.ask(ctx, adminwire.Request{Verb: adminwire.VerbAsk, Words: words}, v)
}

// Remove takes the dead member whose NodeID is id out of the farm for good. ErrRefused says that it is alive.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.ask(ctx, adminwire.Request{Verb: adminwire.VerbRemove, Node: id}, nil)
}

// Finalize lets the farm use the newest protocol level that all members understand; after that none of them
// can go back to an older version. ErrRefused says who holds it back.
func (c *Client) Finalize(ctx context.Context) (f Finalized, err error) {
	return f, c.ask(ctx, adminwire.Request{Verb: adminwire.VerbFinalize}, &f)
}

// Backup writes a backup of the replicated state of the node that answers to w, and returns its header. It is
// checked on the way: an error says that what was written is no backup. An error of w is returned as it is.
func (c *Client) Backup(ctx context.Context, w io.Writer) (h backup.Header, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return h, err
	}
	defer conn.Close()
	if err := conn.Send(adminwire.KindRequest, adminwire.Request{Verb: adminwire.VerbBackup}); err != nil {
		return h, interrupted(ctx, err)
	}
	to := &target{dst: w}
	r, err := backup.NewReader(io.TeeReader(conn.Chunks(), to))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	switch {
	case to.err != nil:
		return h, fmt.Errorf("write the backup: %w", to.err)
	case err != nil:
		return h, interrupted(ctx, err)
	}
	return r.Header(), interrupted(ctx, conn.Answer(nil))
}

// target keeps an error of what is written, to tell it from one of what is read.
type target struct {
	dst io.Writer
	err error
}

func (t *target) Write(p []byte) (n int, err error) {
	n, err = t.dst.Write(p)
	if t.err == nil {
		t.err = err
	}
	return n, err
}

// Survey asks every server that the farm has what it holds. It changes nothing and needs no quorum.
func (c *Client) Survey(ctx context.Context) (s Survey, err error) {
	return s, c.ask(ctx, adminwire.Request{Verb: adminwire.VerbSurvey}, &s)
}

// Recover has a farm that lost its quorum go on with what those who answer hold. lost holds the NodeIDs of
// all others that vote: they are given up, and what they alone held is lost. cluster is the cluster ID of the
// Survey that this was decided on. ErrRefused says that there is a quorum, or that somebody is silent and not
// in lost.
func (c *Client) Recover(ctx context.Context, cluster string, lost []string) (r Recovered, err error) {
	req := adminwire.Request{Verb: adminwire.VerbRecover, Cluster: cluster, Lost: lost}
	return r, c.askFor(ctx, max(c.cfg.Timeout, patienceRecover), req, &r)
}

// Restore replaces the state of the farm by the backup that src holds. cluster is the cluster ID of the farm
// as it was looked at; "" is any. The node that answers takes in the whole backup and checks it first, and
// then goes on with it under a new cluster ID; the others give up their state and join it. An error that
// wraps backup.ErrDamaged, ErrRefused or ErrUnsupported says that nothing has changed.
func (c *Client) Restore(ctx context.Context, cluster string, src io.Reader) (done Restored, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return done, err
	}
	defer conn.Close()
	if err := conn.Send(adminwire.KindRequest,
		adminwire.Request{Verb: adminwire.VerbRestore, Cluster: cluster}); err != nil {
		return done, interrupted(ctx, err)
	}
	if err := conn.Answer(nil); err != nil {
		return done, interrupted(ctx, err)
	}
	s := conn.Stream()
	from := &source{src: src}
	_, err = io.Copy(s, from)
	if from.err != nil {
		return done, fmt.Errorf("read the backup: %w", from.err) // the node drops what came
	}
	if err == nil {
		err = s.Close()
	}
	conn.Patience(patienceRestore)
	if answer := conn.Answer(&done); answer == nil || !lost(answer) { // the node may have refused half way
		return done, answer
	}
	return done, interrupted(ctx, errors.Join(err, errors.New("no answer came")))
}

// source keeps an error of what is read, to tell it from one of what is written.
type source struct {
	src io.Reader
	err error
}

func (s *source) Read(p []byte) (n int, err error) {
	n, err = s.src.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// patienceRestore is how long a node may take to put a backup in place.
const patienceRestore = 5 * time.Minute

// patienceRecover is how long the members may take to stand down for one of them: those that are lost cost
// time.
const patienceRecover = 90 * time.Second

// ask sends a request to the first node that can be reached, and takes its answer.
func (c *Client) ask(ctx context.Context, req adminwire.Request, v any) error {
	return c.askFor(ctx, c.cfg.Timeout, req, v)
}

func (c *Client) askFor(ctx context.Context, patience time.Duration, req adminwire.Request, v any) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Send(adminwire.KindRequest, req); err != nil {
		return interrupted(ctx, err)
	}
	conn.Patience(patience)
	return interrupted(ctx, conn.Answer(v))
}

// interrupted says of an error of a connection what it means; a node's own word is left as it is.
func interrupted(ctx context.Context, err error) error {
	if err == nil || !lost(err) {
		return err
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrInterrupted, err)
}

// lost reports whether err is one of the connection.
func lost(err error) bool {
	var said *adminwire.Failure
	return !errors.As(err, &said) && !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrFormat)
}

const dialTimeout = 5 * time.Second

// dial connects to the first node that can be reached.
func (c *Client) dial(ctx context.Context) (*adminwire.Conn, error) {
	conn, err := c.dialFor(ctx, port.ProtoAdmin)
	if err != nil {
		return nil, err
	}
	return adminwire.NewConn(ctx, conn, c.cfg.Timeout), nil
}

// Dial connects to the program of the first node that can be reached, for whatever that offers its operators
// (package farm: HTTP). Close the connection. ErrUnsupported says that the node's version offers nothing.
func (c *Client) Dial(ctx context.Context) (net.Conn, error) {
	return c.dialFor(ctx, port.ProtoProgram)
}

// dialFor connects to the first node that can be reached: of those given, then of those heard of. It does not
// wait for one that is slow before it tries the next.
func (c *Client) dialFor(ctx context.Context, proto string) (net.Conn, error) {
	conn, err := dialFirst(ctx, c.nodes.addrs(), func(ctx context.Context, addr string) (net.Conn, error) {
		return c.dialOne(ctx, addr, proto)
	})
	if err == nil {
		c.nodes.connected(conn.addr)
		return conn.Conn, nil
	}
	if ctx.Err() == nil && errors.Is(err, ErrNotAuthorized) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (c *Client) dialOne(ctx context.Context, addr, proto string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, min(dialTimeout, c.cfg.Timeout))
	defer cancel()
	conn, err := port.DialAdmin(ctx, c.cfg.Network, addr, proto, c.id)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, trust.ErrWrongSecret) && len(c.cfg.Secrets) == 0:
		return nil, fmt.Errorf("%w: the node at %s belongs to a farm with a secret, and none was given",
			ErrNotAuthorized, addr)
	case errors.Is(err, trust.ErrWrongSecret):
		return nil, fmt.Errorf("%w: the node at %s has another secret", ErrNotAuthorized, addr)
	case errors.Is(err, trust.ErrWrongFarm):
		return nil, fmt.Errorf("%w: the node at %s: %w", ErrNotAuthorized, addr, err)
	case errors.Is(err, trust.ErrNotAdmin):
		return nil, fmt.Errorf("%w: the node at %s does not take operators; its version may be older",
			ErrUnsupported, addr)
	case strings.Contains(err.Error(), "remote error: tls: no application protocol"):
		return nil, fmt.Errorf("%w: the node at %s does not take operators: it stops just now, or its "+
			"version is older",
			ErrUnsupported, addr)
	case strings.Contains(err.Error(), "remote error: tls"): // else it just went away
		return nil, fmt.Errorf("%w: the node at %s: %w", ErrNotAuthorized, addr, err)
	}
	return nil, err
}
