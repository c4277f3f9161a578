package configsync

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	r, err := m.publishing.propose(ctx, p)
	if err == nil {
		r, err = m.writing.end(ctx, r)
	}
	return r, err
}

// publishing makes releases, and begins rollouts of those that are there.
type publishing struct {
	*base
	supply     *supply
	proposing  *proposing
	overwrites *overwrites
	writing    *writing
}

// propose begins what Publish does.
func (pb *publishing) propose(ctx context.Context, p Publication) (Result, error) {
	if p.Content != nil && p.Content.Root.IsZero() {
		p.Content = &Content{}
	}
	if p.Hold {
		p.Plan.Percent = 0 // whoever begins its rollout says for whom
	}
	if err := pb.areMembers(p.Plan.Nodes); err != nil {
		return Result{}, err
	}
	if err := pb.strictly(ctx, p.Write, p.Plan, p.Hold); err != nil {
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
	if err := pb.proposing.barrier(ctx); err != nil { // before what is in force is compared
		return Result{}, err
	}
	if p.Config != nil {
		cmd.Changes = pb.changesTo(p)
	}
	return pb.writing.write(ctx, p.Write, cmd.Append(nil), func(s *state.State) (Files, error) {
		if p.Publisher != "" && !p.Overwrite {
			next := Release{Content: cmd.Content, Publisher: p.Publisher, Who: p.Who}
			if lost := pb.overwrites.wouldUndo(s, p.Config, next); lost != nil {
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
func (pb *publishing) changesTo(p Publication) []state.Change {
	s := pb.state()
	if out := inForce(s).to(p.Config).changes(); len(out) > 0 {
		return out
	}
	if p.Publisher == "" || p.Hold || p.Plan.Dry || maps.Equal(pb.overwrites.lastPublished(s), p.Config) {
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

// Abort ends a rollout: before the switch nothing has changed anywhere, and after it, while the nodes look
// whether they are well, the farm goes back to the release before. Errors: ErrEnded, and those of the log.
func (m *Manager) Abort(ctx context.Context, rollout uint64, who, why string) error {
	err := m.proposing.take(ctx, state.Abort{Rollout: rollout, Who: who, Why: why}.Append(nil))
	if r, _ := m.state().Rollout(rollout); err != nil && r.Phase == PhaseConfirming {
		return m.proposing.take(ctx, state.Return{Rollout: rollout, Who: who, Why: why}.Append(nil))
	}
	return err
}
