package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// slowPipeline answers every append with a refusal and, like raft's own with two requests under way, takes no
// further one before somebody has taken the answer.
type slowPipeline struct{ sent, answers chan raft.AppendFuture }

func (s *slowPipeline) AppendEntries(*raft.AppendEntriesRequest,
	*raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	s.sent <- refused{}
	return nil, nil
}

func (s *slowPipeline) Consumer() <-chan raft.AppendFuture { return s.answers }

func (s *slowPipeline) Close() error {
	close(s.sent)
	return nil
}

func (s *slowPipeline) decode() {
	for f := range s.sent {
		s.answers <- f
	}
}

type refused struct{ raft.AppendFuture }

func (refused) Start() time.Time                      { return time.Now() }
func (refused) Error() error                          { return nil }
func (refused) Request() *raft.AppendEntriesRequest   { return &raft.AppendEntriesRequest{Term: 1} }
func (refused) Response() *raft.AppendEntriesResponse { return &raft.AppendEntriesResponse{Term: 2} }

// TestPipelineAfterFailure: raft's reader of answers leaves at the first failure, and its sender may send on.
func TestPipelineAfterFailure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		inner := &slowPipeline{make(chan raft.AppendFuture), make(chan raft.AppendFuture)}
		go inner.decode()
		var later []uint64
		note := func(term uint64) { later = append(later, term) }
		p := newPipeline(inner, new(follower), &growth{}, time.Second, nil, note)
		if _, err := p.AppendEntries(&raft.AppendEntriesRequest{}, nil); err != nil {
			t.Fatal(err)
		}
		if f := <-p.Consumer(); f.Response().Success {
			t.Fatal("the refusal was lost")
		}
		for range 3 { // in a bubble, blocking for ever is a failure
			if _, err := p.AppendEntries(&raft.AppendEntriesRequest{}, nil); err == nil {
				t.Error("an append after a failed one was sent")
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if !slices.Equal(later, []uint64{2}) {
			t.Errorf("later terms: %v", later)
		}
	})
}

// takingPipeline takes every append, and answers none.
type takingPipeline struct{ raft.AppendPipeline }

func (takingPipeline) AppendEntries(*raft.AppendEntriesRequest,
	*raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	return nil, nil
}

func (takingPipeline) Consumer() <-chan raft.AppendFuture { return nil }
func (takingPipeline) Close() error                       { return nil }

// An append that tells the follower nothing new is held back. One that tells it something new never is.
func TestPipelineAtRest(t *testing.T) {
	const longest = 250 * time.Millisecond
	entry := []*raft.Log{{Index: 8}}
	for name, c := range map[string]struct {
		told, end uint64 // commit index of the append before, and the end of the leader's log
		next      raft.AppendEntriesRequest
		want      time.Duration
	}{
		"nothing new": {7, 7, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7},
			longest},
		"an entry": {7, 8, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7,
			Entries: entry}, 0},
		"a commit":           {6, 7, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7}, 0},
		"a commit to come":   {6, 7, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 6}, 0},
		"the log has grown":  {7, 8, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7}, 0},
		"the first that is":  {0, 7, raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7}, 0},
		"a commit beyond it": {7, 9, raft.AppendEntriesRequest{PrevLogEntry: 8, LeaderCommitIndex: 9}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var log growth
				log.to(c.end)
				p := newPipeline(takingPipeline{}, new(follower), &log, longest, nil, nil)
				defer p.Close()
				p.told = c.told
				begin := time.Now()
				if _, err := p.AppendEntries(&c.next, nil); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != c.want {
					t.Errorf("held back for %v, want %v", took, c.want)
				}
			})
		})
	}
}

// An append that is held back is sent as soon as there is a reason.
func TestPipelineIsWoken(t *testing.T) {
	for name, wake := range map[string]func(log *growth, answers chan raft.AppendFuture, end func()){
		"the log grows": func(log *growth, _ chan raft.AppendFuture, _ func()) { log.to(8) },
		"another one fails": func(_ *growth, answers chan raft.AppendFuture,
			_ func()) {
			answers <- refused{}
		},
		"the end": func(_ *growth, _ chan raft.AppendFuture, end func()) { end() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var log growth
				log.to(7)
				inner := &slowPipeline{make(chan raft.AppendFuture, 2), make(chan raft.AppendFuture)}
				ended := make(chan struct{})
				p := newPipeline(inner, new(follower), &log, time.Hour, ended, func(uint64) {})
				defer p.Close()
				begin := time.Now()
				time.AfterFunc(time.Minute, func() { wake(&log, inner.answers, func() { close(ended) }) })
				for range 2 {
					p.AppendEntries(&raft.AppendEntriesRequest{PrevLogEntry: 7, LeaderCommitIndex: 7}, nil)
				}
				if took := time.Since(begin); took != time.Minute {
					t.Errorf("it went after %v", took)
				}
			})
		})
	}
}

// A write in a farm at rest reaches the nodes that only follow as fast as in one that is busy.
func TestWriteEndsTheRest(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		for i := range 20 {
			time.Sleep(time.Duration(10000+37*i) * time.Millisecond)
			index, _, err := leader.Handle("kv").Propose(l.ctx(time.Second), []byte("set k v"))
			if err != nil {
				t.Fatal(err)
			}
			answered := time.Now()
			for _, n := range others {
				if err := n.Handle("kv").Wait(l.ctx(time.Second), index); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(answered); took > 25*time.Millisecond {
				t.Errorf("applied everywhere %v after it was acknowledged", took)
			}
		}
	})
}
