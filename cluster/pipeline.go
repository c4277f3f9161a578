package cluster

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// pipeline is raft's pipeline of appends to one follower, with a reader that does not go away. Without one, raft's sender
// can block for ever after a failed append (raft issue 612): the reader of the answers has left, the goroutine that
// decodes them waits for it, and the sender, if by chance it sends once more before it looks, waits for that goroutine.
// The follower goes on getting heartbeats, so nobody elects anew, and gets no entry again; and raft cannot shut down.
type pipeline struct {
	raft.AppendPipeline
	answers chan raft.AppendFuture
	failed  atomic.Bool // an append has failed: what follows it cannot succeed
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

var errPipelineFailed = errors.New("an earlier append of the pipeline failed")

// AppendEntriesPipeline opens a pipeline to a follower.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return newPipeline(inner), nil
}

func newPipeline(inner raft.AppendPipeline) *pipeline {
	p := &pipeline{AppendPipeline: inner, answers: make(chan raft.AppendFuture), done: make(chan struct{})}
	p.wg.Go(p.pass)
	return p
}

// AppendEntries sends one request. How many may be under way is the transport's business.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.failed.Load() {
		return nil, errPipelineFailed
	}
	fit(args)
	return p.AppendPipeline.AppendEntries(args, resp)
}

// Consumer returns the answers, in order.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// pass takes the answers as they come and holds them for raft. It ends with Close.
func (p *pipeline) pass() {
	var held []raft.AppendFuture
	for {
		var next raft.AppendFuture
		var out chan raft.AppendFuture // nil as long as there is nothing to pass on
		if len(held) > 0 {
			next, out = held[0], p.answers
		}
		select {
		case f := <-p.AppendPipeline.Consumer():
			if f.Error() != nil || !f.Response().Success {
				p.failed.Store(true)
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
