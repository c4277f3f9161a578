package configsync

import (
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// use is which release a node uses, and under which epoch.
type use struct {
	epoch   uint64
	release Release
	canary  bool
	preview bool
	since   time.Time // of the switch to it, from the log
}

// useOf returns what a state has in force on a node.
func useOf(s *state.State, node string) use {
	u := use{epoch: s.Current().Number, since: s.Current().Time}
	if u.release, u.canary = s.For(node); u.canary {
		r, _ := s.Rollout(s.Canary().Rollout)
		u.since = r.Switched
	}
	return u
}

// lastUse returns since when a release is the canary, or else in which epoch it was in force last.
func lastUse(s *state.State, r Release) use {
	u := use{release: r}
	for _, e := range s.Epochs() {
		if e.Release == r.ID {
			u.epoch, u.since = e.Number, e.Time
		}
	}
	if c := s.Canary(); c.Percent > 0 && c.Release == r.ID {
		by, _ := s.Rollout(c.Rollout)
		u.since = by.Switched
	}
	return u
}

// snapshot is what a node uses: the values of all configs, and the content, of one release. It never changes.
type snapshot struct {
	// What readers need comes first, in as few lines of memory as can be.
	near  [nearby]near // the first of the values without sections, within this piece of memory
	quick []quick      // the values, for those who only read

	source *state.State
	staged *staged
	use                 // what staged is of: what source has in force, or something older while that is not ready here
	set    *content.Set // serves the content; nil = there is none

	// shared are the releases that a share of the clients can be shown, by what pins call them: those that are ready here.
	shared map[string]*snapshot

	problem  error         // why this is not what source has in force
	wants    digest        // what that would be, with a problem
	patience time.Time     // until when requests wait, with a problem
	replaced chan struct{} // closed when there is a newer one
}

// quick is what a reader needs of a value, in one piece of memory.
type quick struct {
	d        *declaration
	base     any // *T
	sections []part
}

// near is what a reader needs of a value that has no sections.
type near struct {
	d     *declaration
	value any // *T; nil = there are sections
}

// nearby is how many configs of a program are read the quickest way.
const nearby = 16

// within returns the value for requests of a path. It is not inlined: its caller is quick because it is small.
//
//go:noinline
func (q *quick) within(path string) any {
	for i := range q.sections {
		if layer.Within(path, q.sections[i].path) {
			return q.sections[i].value
		}
	}
	return q.base
}

// newSnapshot returns a snapshot of what is ready.
func newSnapshot(source *state.State, st *staged, u use, problem error) *snapshot {
	s := &snapshot{source: source, staged: st, use: u, problem: problem, replaced: make(chan struct{})}
	for i, v := range st.values {
		s.quick = append(s.quick, quick{v.d, v.base.value, v.sections})
		if i < nearby && len(v.sections) == 0 {
			s.near[i] = near{v.d, v.base.value}
		}
	}
	return s
}

// pending reports whether this node is making itself ready, for the first time, for what is in force.
func (s *snapshot) pending() bool { return s.problem == ErrBehind }
