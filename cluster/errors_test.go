package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// The error of an entry that does not follow the log does not say that the disk is full.
func TestGapInTheLogIsNoFullDisk(t *testing.T) {
	inLab(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		in := n.instance()
		last, err := in.storage.store.LastIndex()
		if err != nil {
			l.t.Fatal(err)
		}
		if err := in.storage.store.StoreLogs([]*raft.Log{{Index: last + 5, Term: 1}}); !errors.Is(err, ErrGap) {
			l.t.Errorf("a gap: %v", err)
		}
		if err := n.Err(); !errors.Is(err, ErrGap) || errors.Is(err, ErrDisk) {
			l.t.Errorf("the node ended with %v, want ErrGap", err)
		}
		n.stop()
	})
}

// A caller that has waited in vain is told whether there was somebody to wait for.
func TestNoLeaderSaysWhy(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		ctx, cancel := context.WithCancel(l.t.Context())
		cancel()
		says := func(n *labNode, words string) {
			err := n.reads.noLeader(ctx)
			if !errors.Is(err, ErrNoLeader) || !errors.Is(err, context.Canceled) ||
				!strings.Contains(err.Error(), words) {
				l.t.Errorf("%s: %v; want %q", n.conf.Name, err, words)
			}
		}
		says(leader, "this node leads")
		says(others[0], leader.conf.Name+" leads, and did not answer")
		others[1].instance().leader.set(l.t.Context(), "")
		says(others[1], "none is known here")
		others[1].instance().leader.set(others[1].instance().ctx, leader.instance().server)
	})
}
