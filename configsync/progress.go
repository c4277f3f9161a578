package configsync

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Step is how far a node is in a rollout.
type Step byte

// The steps of a node, in their order.
const (
	StepMissing   Step = iota // it has not begun, or fetches what it lacks
	StepFetched               // it has all of the content
	StepValidated             // it has read the configuration, and would use it
	StepReady                 // the hooks have run: the switch is the swap of a pointer
	StepSwitched
	StepConfirmed
)

// String returns the step as a word.
func (s Step) String() string {
	words := []string{"missing", "fetched", "validated", "ready", "switched", "confirmed"}
	return words[min(int(s), len(words)-1)]
}

// NodeProgress is how far a node is in a rollout.
type NodeProgress struct {
	Node        string
	Step        Step
	Have, Size  uint64 // bytes of the content
	Unreachable bool
	Refused     string // why it refuses the release, or is not well after the switch; "" = it does not, and is
}

// Progress is how far a rollout is.
type Progress struct {
	Rollout Rollout
	Nodes   []NodeProgress // by name. The node that carries it on knows of all, others of themselves
}

// board is what this node knows of the progress of the newest rollout.
type board struct {
	*base
	mu      sync.Mutex
	rollout rolloutKey              // guarded by mu
	nodes   map[string]NodeProgress // guarded by mu
}

// rolloutKey names a rollout. After the farm was put back to a backup, numbers are given again.
type rolloutKey struct {
	id    uint64
	begun int64
}

func keyOf(r Rollout) rolloutKey { return rolloutKey{r.ID, r.Begun.UnixNano()} }

// set notes what is known of a node in the newest rollout, and reports whether that is news.
func (b *board) set(newest rolloutKey, edit func(*NodeProgress), node string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if newest != b.rollout || b.nodes == nil {
		b.rollout, b.nodes = newest, map[string]NodeProgress{}
	}
	was := b.nodes[node]
	now := was
	now.Node = node
	edit(&now)
	b.nodes[node] = now
	return now != was
}

func (b *board) of(rollout rolloutKey) []NodeProgress {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rollout != b.rollout {
		return nil
	}
	return slices.SortedFunc(maps.Values(b.nodes), func(x, y NodeProgress) int { return cmp.Compare(x.Node, y.Node) })
}

// note notes what is known of a node, if that is about the newest rollout.
func (b *board) note(rollout uint64, node string, edit func(*NodeProgress)) {
	if r := b.state().Newest(); r.ID == rollout && b.set(keyOf(r), edit, node) {
		b.tell()
	}
}

// teller returns what is told how far this node is.
func (b *board) teller(r Rollout, progress func(NodeProgress)) func(NodeProgress) {
	last := NodeProgress{Node: b.settings.Node}
	var mu sync.Mutex
	return func(p NodeProgress) {
		mu.Lock()
		defer mu.Unlock()
		p.Node, p.Step = b.settings.Node, max(p.Step, last.Step)
		p.Have, p.Size = max(p.Have, last.Have), max(p.Size, last.Size)
		last = p
		b.note(r.ID, b.settings.Node, func(n *NodeProgress) { *n = p })
		if progress != nil {
			progress(p)
		}
	}
}

// Rollout returns how far a rollout is, or how it ended; 0 = the newest. The error is ErrEnded if it is not
// kept, or there never was one.
func (m *Manager) Rollout(id uint64) (Progress, error) {
	s := m.state()
	id = cmp.Or(id, s.Newest().ID)
	r, ok := s.Rollout(id)
	if !ok {
		return Progress{}, ErrEnded
	}
	return Progress{r, m.board.of(keyOf(r))}, nil
}

// FollowRollout yields how far a rollout is, and again whenever that has changed, until it has ended, which is
// yielded too, or ctx ends, or the rollout is not there any more. Whoever is slow misses steps, and not the
// last.
func (m *Manager) FollowRollout(ctx context.Context, id uint64) iter.Seq[Progress] {
	return func(yield func(Progress) bool) {
		for ctx.Err() == nil {
			news := m.Changed()
			p, err := m.Rollout(id)
			if err != nil || !yield(p) || p.Rollout.Phase >= PhaseDone {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
			case <-m.ctx.Done():
				return
			}
		}
	}
}
