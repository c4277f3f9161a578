package once

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Log replicates the commands of a Machine: package cluster's Handle is one.
type Log interface {
	// Propose has cmd applied on all nodes, exactly once, and returns when it is on this one, with the
	// machine's answer. With an error, an index above 0 says that cmd was applied, with that answer, and only
	// this node does not have it yet.
	Propose(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)

	// Barrier returns when this node's machine has everything acknowledged, anywhere, before the call.
	Barrier(ctx context.Context) error
}

// Config says what a Client works with. Log, Local, News, Run and Ended are needed.
type Config struct {
	Log   Log
	Local func() *Machine // this node's copy of the machine, which may be replaced
	News  *News           // that Machine's

	Run  string // names this run of this node's program, and no other one, ever
	Node string // the node's name, for people
	Role string // of the node, for Singleton
	App  string // of the node, for Singleton

	// Ended returns nil once a run of a node's program has certainly ended, and an error when ctx ends
	// before.
	Ended func(ctx context.Context, run string) error

	// Alive reports whether a run seems to be there, without asking it. nil: it is not known.
	Alive func(run string) bool

	// Now returns the time of day by this node's clock, which may be set at any moment. Nothing rests on it:
	// a job that is due by it has the log's time asked for. nil: time.Now.
	Now func() time.Time

	// Context returns the context of a job or a singleton, made from the one that ends with its lease. nil: it
	// is that one.
	Context func(context.Context) context.Context

	Logger *slog.Logger // nil: nothing is logged
}

// Client is a node's part in locks and jobs. It is safe for concurrent use.
type Client struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	counters counters
	took     atomic.Int64 // ns of the last command

	mu      sync.Mutex
	owner   *owner // as which this node holds and waits; nil until it is needed, or after it was lost
	owners  int    // how many names have been used up
	joining chan struct{}
	works   map[string]*work // singletons and jobs, by kind and name
	running int              // functions of works
	ran     chan struct{}    // closed when one of them has ended
	retired bool
	closed  bool

	awaitsCopy bool // somebody looks out for another copy of the state
	copyUntil  time.Time

	// What the protocol rests on. Tests show what comes of other values.
	patience, sureFor time.Duration
}

// New returns a client, which works until Close.
func New(cfg Config) *Client {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Alive == nil {
		cfg.Alive = func(string) bool { return true }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Context == nil {
		cfg.Context = func(ctx context.Context) context.Context { return ctx }
	}
	c := &Client{cfg: cfg, log: cfg.Logger, joining: make(chan struct{}, 1), works: map[string]*work{},
		ran: make(chan struct{}), patience: Patience, sureFor: sureFor}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	listener := c.hear
	cfg.News.listener.Store(&listener)
	return c
}

// The times of a client.
const (
	commandTimeout = 10 * time.Second // of a command that nobody waits for
	retryPause     = time.Second      // before it is tried again
	levelPause     = 5 * time.Second  // before it is, in a farm that has programs which know no such command
	endTimeout     = 2 * time.Second  // for the last words of Close
)

// Close ends every lease of this node, waits for the functions that run by it, and has others take over. It
// waits for no longer than ctx.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	o := c.owner
	c.mu.Unlock()
	c.cancel(ErrClosed)
	if o != nil {
		o.endLeases(ErrClosed)
	}
	err := c.await(ctx)
	if o != nil {
		c.endOwner(ctx, o)
	}
	return err
}

// await waits for what runs.
func (c *Client) await(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return c.Idle(ctx)
	case <-ctx.Done():
		return fmt.Errorf("once: functions still run, though their contexts have ended: %w", ctx.Err())
	}
}

// endOwner tells the farm that this node holds nothing any more. Otherwise the others would find that out
// when its node is gone.
func (c *Client) endOwner(ctx context.Context, o *owner) {
	timeout := endTimeout
	if !c.cfg.Local().Stakes(o.id) {
		timeout = endTimeout / 8 // nobody waits for it
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := c.do(ctx, state.End{ID: o.id}); err != nil {
		c.log.Info("the others will find out by themselves that what this node held is free", "err", err)
	}
}

// encode writes a command into a buffer that nearly all fit into.
func encode(cmd state.Command) []byte { return cmd.Append(make([]byte, 0, 128)) }

// do has a command carried out. This node's copy may not have it yet.
func (c *Client) do(ctx context.Context, cmd state.Command) (state.Answer, error) {
	index, value, err := c.propose(ctx, cmd)
	if err != nil && index == 0 {
		return state.Answer{}, err
	}
	return state.DecodeAnswer(value)
}

// doHere has a command carried out, and returns when this node's copy has it.
func (c *Client) doHere(ctx context.Context, cmd state.Command) (state.Answer, error) {
	_, value, err := c.propose(ctx, cmd)
	if err != nil {
		return state.Answer{}, err
	}
	return state.DecodeAnswer(value)
}

// propose puts a command into the log, and notes how long that takes.
func (c *Client) propose(ctx context.Context, cmd state.Command) (index uint64, value []byte, err error) {
	began := time.Now()
	index, value, err = c.cfg.Log.Propose(ctx, encode(cmd))
	c.took.Store(int64(time.Since(began)))
	return index, value, err
}

// insist has a command carried out, however long it takes, until ctx ends.
func (c *Client) insist(ctx context.Context, cmd state.Command) (state.Answer, error) {
	for wait := retryPause / 16; ; wait = min(2*wait, retryPause) {
		try, cancel := context.WithTimeout(ctx, commandTimeout)
		a, err := c.do(try, cmd)
		cancel()
		if err == nil {
			return a, nil
		}
		if !sleep.For(ctx, wait) {
			return a, err
		}
	}
}

// spawn runs f, and has Close wait for it; false if the client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// signal puts one into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hear passes news on. The goroutine that applies commands calls it.
func (c *Client) hear(e state.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owner
	if e == (state.Event{}) {
		c.lookAgainLocked()
		c.awaitCopyLocked()
		return
	}
	if e.Job != "" {
		if w := c.works[kindJob+e.Job]; w != nil {
			signal(w.news)
		}
		return
	}
	if o == nil {
		return
	}
	if e.Owner == o.id {
		o.hear(e.Ticket)
	}
	if e.Ticket == 0 {
		signal(o.ring)
	}
}
