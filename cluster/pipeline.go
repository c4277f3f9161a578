package cluster

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// pipeline is raft's pipeline of appends to one follower, with a reader that does not go away. Without one,
// raft's sender can block for ever after a failed append (raft issue 612): the reader of the answers has
// left, the goroutine that decodes them waits for it, and the sender, if by chance it sends once more before
// it looks, waits for that goroutine. The follower goes on getting heartbeats, so nobody elects anew, and
// gets no entry again; and raft cannot shut down.
//
// raft sends an append whenever the commit timeout has passed, so that followers learn what is committed. In
// a farm at rest all of them say the same; pipeline holds those back.
type pipeline struct {
	raft.AppendPipeline
	to      *follower
	log     *growth
	unison  *unison             // nil = nothing is held back
	handing *handover           // nil = no leadership is ever handed over
	longest time.Duration       // that an append which says nothing new is held back
	ended   <-chan struct{}     // nothing is held back any more
	told    uint64              // the commit index that the last append told
	tells   func(commit uint64) // is told of that, when it was sent; nil = nobody is
	deposed func(term uint64)   // is told of an answer in a later term
	answers chan raft.AppendFuture
	failed  chan struct{} // closed when an append has failed: what follows it cannot succeed
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

// growth tells how far the log of this node goes.
type growth struct {
	last atomic.Uint64
	more broadcast.Signal // entries were appended; last says so already
}

// to is called by the log store with its last index.
func (g *growth) to(last uint64) {
	g.last.Store(last)
	g.more.Notify()
}

var errPipelineFailed = errors.New("an earlier append of the pipeline failed")

// AppendEntriesPipeline opens a pipeline to a follower.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline,
	error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	deposed := func(term uint64) { t.seen.sawTerm(term, []byte(id)) }
	p := newPipeline(inner, t.layer.followers.of(string(target)), t.log, t.quietFor, t.done, deposed)
	p.unison, p.handing = t.unison, t.handing
	p.tells = func(commit uint64) { t.told.raise(string(id), commit) }
	return p, nil
}

func newPipeline(inner raft.AppendPipeline, to *follower, log *growth, longest time.Duration,
	ended <-chan struct{},
	deposed func(term uint64)) *pipeline {
	p := &pipeline{AppendPipeline: inner, to: to, log: log, longest: longest, ended: ended, deposed: deposed,
		answers: make(chan raft.AppendFuture), failed: make(chan struct{}), done: make(chan struct{})}
	p.wg.Go(p.pass)
	return p
}

// AppendEntries sends one request. How many may be under way is the transport's business.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	fit(args, p.to.line.Limit())
	args.LeaderCommitIndex = p.unison.bound(args.LeaderCommitIndex)
	if p.saysNothing(args) {
		p.rest(args.PrevLogEntry)
	}
	select {
	case <-p.failed:
		return nil, errPipelineFailed
	default:
	}
	p.told = args.LeaderCommitIndex
	f, err := p.AppendPipeline.AppendEntries(args, resp)
	if err == nil && p.tells != nil {
		p.tells(p.told)
	}
	return f, err
}

// saysNothing reports whether a request has nothing for a follower that has got what came before it: no
// entry, and no commit index that it was not told; nor will there be one before the log grows.
func (p *pipeline) saysNothing(req *raft.AppendEntriesRequest) bool {
	return len(req.Entries) == 0 && req.LeaderCommitIndex == req.PrevLogEntry &&
		req.LeaderCommitIndex == p.told
}

// rest waits until the log has grown beyond last, but not for ever: raft may have other reasons to go on,
// which it looks for between two appends.
func (p *pipeline) rest(last uint64) {
	more := p.log.more.Next() // before last is looked at, so that nothing falls in between
	handing := p.handing.next()
	if p.log.last.Load() > last || p.handing.underWay() {
		return
	}
	t := time.NewTimer(p.longest)
	defer t.Stop()
	select {
	case <-more:
	case <-handing:
	case <-t.C:
	case <-p.failed:
	case <-p.ended:
	}
}

// Consumer returns the answers, in order.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// pass takes the answers as they come and holds them for raft. It ends with Close.
func (p *pipeline) pass() {
	var held []raft.AppendFuture
	failed := false
	var answered time.Time // the request before
	for {
		var next raft.AppendFuture
		var out chan raft.AppendFuture // nil as long as there is nothing to pass on
		if len(held) > 0 {
			next, out = held[0], p.answers
		}
		select {
		case f := <-p.AppendPipeline.Consumer():
			if !failed && (f.Error() != nil || !f.Response().Success) {
				failed = true
				close(p.failed)
			}
			if now := time.Now(); f.Error() == nil {
				since := f.Start()
				if answered.After(since) {
					since = answered
				}
				p.to.answered(f.Request(), f.Response(), now.Sub(since))
				answered = now
			}
			if f.Error() == nil && f.Response().Term > f.Request().Term {
				p.deposed(f.Response().Term)
			}
			held = append(held, f)
		case out <- next:
			held = held[1:]
		case <-p.done:
			return
		}
	}
}

// Close closes the connection and drops what raft has not taken.
func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.done) })
	err := p.AppendPipeline.Close()
	p.wg.Wait()
	return err
}
