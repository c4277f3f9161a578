package cluster

import (
	"testing"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// slowPipeline answers every append with a refusal and, like raft's own with two requests under way, takes no further
// one before somebody has taken the answer.
type slowPipeline struct{ sent, answers chan raft.AppendFuture }

func (s *slowPipeline) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
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

func (refused) Error() error                          { return nil }
func (refused) Response() *raft.AppendEntriesResponse { return &raft.AppendEntriesResponse{} }

// TestPipelineAfterFailure: raft's reader of answers leaves at the first failure, and its sender may send on.
func TestPipelineAfterFailure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		inner := &slowPipeline{make(chan raft.AppendFuture), make(chan raft.AppendFuture)}
		go inner.decode()
		p := newPipeline(inner)
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
	})
}
