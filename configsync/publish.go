package configsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Publication is what a new release consists of.
type Publication struct {
	Write

	// Config is the whole folder of configuration. nil = that in force stays; empty, but not nil = there is
	// none.
	Config Files

	// Content is the content, which this node or another member has to have already. nil = that in force stays;
	// the zero Content = there is none.
	Content *Content

	// Needs are what nodes have to have for the release. With neither Content nor Needs, those in force stay.
	Needs

	// Publisher is the credential that it is published with: up to 64 bytes of text; "" = none.
	Publisher string

	// Overwrite has Config count also where it undoes what was changed in the farm since the last publication with
	// a Publisher, and both where they take back fields or files that other Publishers have changed since this one's
	// last. Publishers are told apart by the names of their credentials.
	// Otherwise such a publication is refused, by an OverwriteError. Without a Publisher nobody asks: Write.Epoch says
	// what the writer has looked at.
	Overwrite bool

	// Plan says how it is rolled out.
	Plan Plan

	// Hold keeps the release for later: Activate puts it in force. Of those that were never tried, three are
	// kept.
	Hold bool
}

// Publish makes a release, has all members make it ready, and switches every node to it at one index of the
// log; unless one refuses, and then nothing changes anywhere. It waits for the end, as Put does.
//
// A release that is there already is not made again. If it is the one in force, nothing is done; unless Config is what
// somebody has changed by hand, and a Publisher has it for the first time: that is a release of its own, so that it is
// known what he goes on from.
//
// Errors: those of Put, and OverwriteError.
func (m *Manager) Publish(ctx context.Context, p Publication) (Result, error) {
	if p.Plan.Dry {
		return only(m.DryRun(ctx, p))
	}
	r, err := m.propose(ctx, p)
	if err == nil {
		r, err = m.end(ctx, r)
	}
	return r, err
}

// propose begins what Publish does.
func (m *Manager) propose(ctx context.Context, p Publication) (Result, error) {
	if p.Content != nil && p.Content.Root.IsZero() {
		p.Content = &Content{}
	}
	if err := m.areMembers(p.Plan.Nodes); err != nil {
		return Result{}, err
	}
	if _, err := olderVersion(p.Program, p.Program); p.Program != "" && err != nil {
		return Result{}, fmt.Errorf("configsync: the version that a release needs: %w", err)
	}
	cmd := state.Propose{Write: state.Write(p.Write), Keep: p.Content == nil, Needs: p.Needs,
		Publisher: p.Publisher, Plan: withDefaults(p.Plan), Hold: p.Hold}
	if p.Content != nil {
		cmd.Content = *p.Content
	}
	if err := m.barrier(ctx); err != nil { // before what is in force is compared
		return Result{}, err
	}
	if p.Config != nil {
		cmd.Changes = m.changesTo(p)
	}
	return m.write(ctx, p.Write, cmd.Append(nil), func(s *state.State) (Files, error) {
		if p.Publisher != "" && !p.Overwrite {
			next := Release{Content: cmd.Content, Publisher: p.Publisher, Who: p.Who}
			if lost := m.wouldUndo(s, p.Config, next); lost != nil {
				return nil, lost
			}
		}
		if p.Config == nil {
			return inForce(s), nil
		}
		return p.Config, nil
	})
}

// changesTo returns what a publication changes in the configuration. If that is nothing, and yet is news of the
// publisher, it sets all files to what they are: he has taken over what was changed by hand, and the log has to know.
func (m *Manager) changesTo(p Publication) []state.Change {
	s := m.s.Local().State()
	if out := inForce(s).to(p.Config).changes(); len(out) > 0 {
		return out
	}
	if p.Publisher == "" || p.Hold || p.Plan.Dry || maps.Equal(m.lastPublished(s), p.Config) {
		return nil
	}
	return Change{Set: p.Config}.changes()
}

// to returns the change that makes files out of f.
func (f Files) to(files Files) Change {
	c := Change{Set: Files{}}
	for path, text := range files {
		if old, there := f[path]; !there || old != text {
			c.Set[path] = text
		}
	}
	for path := range f {
		if _, stays := files[path]; !stays {
			c.Remove = append(c.Remove, path)
		}
	}
	slices.Sort(c.Remove)
	return c
}

// Activate puts a release in force that is kept, as Publish does a new one. That of the canary is so promoted
// to all nodes. Errors: those of Put, ErrNoRelease, and ErrUnavailable for a release whose content is not kept any more
// and is to be had from nobody.
func (m *Manager) Activate(ctx context.Context, w Write, release uint64, p Plan) (Result, error) {
	if p.Dry {
		return only(m.DryRunRelease(ctx, w, release, p))
	}
	r, err := m.begin(ctx, w, release, p)
	if err == nil {
		r, err = m.end(ctx, r)
	}
	return r, err
}

func (m *Manager) begin(ctx context.Context, w Write, release uint64, p Plan) (Result, error) {
	if err := m.areMembers(p.Nodes); err != nil {
		return Result{}, err
	}
	p = withDefaults(p)
	if err := m.haveAgain(ctx, release, p); err != nil {
		return Result{}, err
	}
	cmd := state.Begin{Write: state.Write(w), Release: release, Plan: p}.Append(nil)
	return m.write(ctx, w, cmd, func(s *state.State) (Files, error) {
		r, ok := s.Release(release)
		if !ok || release == 0 {
			return nil, fmt.Errorf("%w: %d", ErrNoRelease, release)
		}
		return filesOf(s, r.Revision), nil
	})
}

// haveAgain brings the content of a release here that is not kept any more. If nobody has it, a rollout would wait
// for it until its time is over, and keep every other one waiting.
func (m *Manager) haveAgain(ctx context.Context, release uint64, p Plan) error {
	s := m.s.Local().State()
	r, ok := s.Release(release)
	if !ok || r.Content.Root.IsZero() || m.s.Content == nil || m.s.Log == nil || slices.Contains(s.Roots(), r.Content.Root) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Stage)
	defer cancel()
	_, err := m.fetch(ctx, r.Content, func(NodeProgress) {})
	if errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: that of release %d is not kept any more, and no node that can be reached has all of it: publish "+
			"it again", ErrUnavailable, release)
	}
	if err != nil {
		err = fmt.Errorf("configsync: the content of release %d, which is not kept any more, cannot be had again: %w", release, err)
	}
	return err
}

// Rollback puts the release of an earlier epoch in force again, as a new epoch. It goes the same way as a new
// release: what was valid once need not be any more. Errors: those of Put, and ErrNoEpoch.
func (m *Manager) Rollback(ctx context.Context, w Write, to uint64) (epoch uint64, err error) {
	if err := m.barrier(ctx); err != nil {
		return 0, err
	}
	e, ok := m.s.Local().State().Epoch(to)
	if !ok || e.Release == 0 {
		return 0, fmt.Errorf("%w: %d", ErrNoEpoch, to)
	}
	r, err := m.Activate(ctx, w, e.Release, Plan{})
	return r.Epoch, err
}

// StartCanary has some nodes show a release that is kept, before the others, until it is given up by EndCanary or
// promoted by Activate. There is one canary at a time, and while there is, no other release can be put in
// force. All of the nodes have to be ready. Errors: those of Activate.
func (m *Manager) StartCanary(ctx context.Context, w Write, release uint64, nodes []string, p Plan) (Result, error) {
	if len(nodes) == 0 {
		return Result{}, errors.New("configsync: a canary is for at least one node: say which are to show it")
	}
	if m.s.Log != nil && m.s.Local().State().Current().Release == release {
		return Result{}, fmt.Errorf("configsync: release %d is in force, on all nodes", release)
	}
	p.Nodes = nodes
	return m.Activate(ctx, w, release, p)
}

// namesOf returns the names of members as people read them, sorted.
func namesOf(members []Member) string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// areMembers returns an error if a name is no member's.
func (m *Manager) areMembers(nodes []string) error {
	members := m.s.Peers.Members()
	for _, node := range nodes {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.Name == node }) {
			return fmt.Errorf("configsync: %q is no member that serves with this program; there are: %s", node,
				namesOf(members))
		}
	}
	return nil
}

// EndCanary has the nodes of the canary show what is in force again. rollout is Canary.Rollout. Errors:
// ErrEnded, ErrBusy, and those of the log.
func (m *Manager) EndCanary(ctx context.Context, rollout uint64, who, why string) error {
	return m.take(ctx, state.EndCanary{Rollout: rollout, Who: who, Why: why}.Append(nil))
}

// Abort ends a rollout: before the switch nothing has changed anywhere, and after it, while the nodes look
// whether they are well, the farm goes back to the release before. Errors: ErrEnded, and those of the log.
func (m *Manager) Abort(ctx context.Context, rollout uint64, who, why string) error {
	err := m.take(ctx, state.Abort{Rollout: rollout, Who: who, Why: why}.Append(nil))
	if r, _ := m.s.Local().State().Rollout(rollout); err != nil && r.Phase == PhaseConfirming {
		return m.take(ctx, state.Return{Rollout: rollout, Who: who, Why: why}.Append(nil))
	}
	return err
}

// take has the log take a step that somebody has asked for.
func (m *Manager) take(ctx context.Context, cmd []byte) error {
	if m.s.Log == nil {
		return ErrLocal
	}
	index, value, err := m.s.Log.Propose(ctx, cmd)
	if err != nil && index == 0 {
		return err
	}
	m.refresh()
	a, err := state.DecodeAnswer(value)
	if err == nil {
		err = outcome(a, Write{})
	}
	return err
}
