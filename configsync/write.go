package configsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Write is what every change says of itself.
type Write struct {
	// Epoch is the one that the writer has looked at; 0 = nothing was in force. If it is not in force any more,
	// nothing changes.
	Epoch uint64

	// Who and Why are kept with the epoch: up to 256 and 1024 bytes of text.
	Who, Why string

	// Key is the idempotency key: random text of up to 64 bytes, the same whenever one write is repeated: a write
	// that has been done is not done again. "" = it will not be repeated.
	Key string
}

// Change sets and removes files, all or none.
type Change struct {
	Write
	Set    Files
	Remove []string // paths; what is not there need not be removed

	// Restart says how programs are started again, if fields of the class restart change.
	Restart Restarts

	// Strict has all nodes hold requests for that long at most, as Plan.Strict does; 0 = they do not.
	Strict time.Duration
}

// Put changes files of what is in force, has all members make ready what comes out, and switches every node to
// it. It waits for the end of that rollout, and returns the epoch then in force, which is Write.Epoch if
// nothing had to be changed. This node uses it when Put returns.
//
// Everything is checked before, for all kinds of nodes that files are about, with the types of this node's
// program.
//
// Errors: Problems; ErrConflict, ErrBusy, ErrRefused, ErrReturned, ErrLocal, ErrTooLarge, ErrUncertain,
// ErrNoLeader, ErrOverloaded, ErrLevel, ErrClosed, or ctx's own. Nothing has changed then, save that after
// ErrUncertain nobody knows: also where a rollout has begun, and goes on without anybody who waits for it here. With
// the same Key it can be asked for again, on any node.
func (m *Manager) Put(ctx context.Context, c Change) (epoch uint64, err error) {
	plan := Plan{Restart: c.Restart, Strict: c.Strict}
	if err := m.publishing.strictly(ctx, c.Write, plan, false); err != nil {
		return 0, err
	}
	cmd := state.Propose{Write: state.Write(c.Write), Changes: c.changes(), Keep: true, Plan: withDefaults(plan)}
	r, err := m.writing.write(ctx, c.Write, cmd.Append(nil), func(s *state.State) (Files, error) {
		return inForce(s).With(c), nil
	})
	if err == nil {
		r, err = m.writing.end(ctx, r)
	}
	return r.Epoch, err
}

func (c Change) changes() (out []state.Change) {
	for _, path := range slices.Sorted(maps.Keys(c.Set)) {
		out = append(out, state.Change{Path: path, Text: c.Set[path]})
	}
	for _, path := range c.Remove {
		if _, set := c.Set[path]; !set {
			out = append(out, state.Change{Path: path, Delete: true})
		}
	}
	return out
}

// With returns the files after a change.
func (f Files) With(c Change) Files {
	out := maps.Clone(f)
	if out == nil {
		out = Files{}
	}
	for _, path := range c.Remove {
		delete(out, path)
	}
	maps.Copy(out, c.Set)
	return out
}

// The plan of a rollout that says nothing.
const (
	stageTime   = 10 * time.Minute
	confirmTime = 10 * time.Second
)

func withDefaults(p Plan) Plan {
	p.Stage, p.Confirm = cmp.Or(p.Stage, stageTime), max(0, cmp.Or(p.Confirm, confirmTime))
	p.Bake = min(p.Bake, p.Confirm)
	if p.Strict > 0 {
		p.Unreachable = Refuse
	}
	return p
}

// Result is what a write has led to.
type Result struct {
	Epoch   uint64   // in force then
	Release uint64   // that was put in force, or is kept for later
	Rollout uint64   // 0 = nothing had to be changed, or the release is kept for later
	Restart []string // fields, such as site.listen, for which programs have to be started again
}

// writing puts changes and releases into the log, and waits for the end of the rollouts that they begin.
type writing struct {
	*base
	reading   *reading
	switching *switching
	usability *usability
	restarts  *restarts
	proposing *proposing
}

// write checks what a command would lead to and has it carried out.
func (wr *writing) write(ctx context.Context, w Write, cmd []byte,
	result func(*state.State) (Files, error)) (Result, error) {
	if err := wr.proposing.barrier(ctx); err != nil {
		return Result{}, err
	}
	s := wr.state()
	_, done := s.Written(w.Key)
	if now := s.Current().Number; now == w.Epoch && !done { // else the answer says why not, or that it was done before
		files, err := result(s)
		if err == nil {
			err = wr.reading.check(s, files)
		}
		if err != nil {
			return Result{Epoch: now}, err
		}
	}
	index, value, err := wr.settings.Log.Propose(ctx, cmd)
	if err != nil && index == 0 {
		return Result{}, err
	}
	a, err := state.DecodeAnswer(value)
	if err != nil {
		return Result{}, err
	}
	if lonely, ok := wr.settings.Peers.(*alone); ok && a.Status == state.OK {
		lonely.began(a.Rollout)
		wr.tell()
	}
	wr.switching.refresh()
	switch err = outcome(a); a.Status {
	case state.Busy:
		err = wr.proposing.busy(a.Rollout)
	case state.Conflict:
		err = conflict(wr.state(), w.Epoch)
	}
	return Result{Epoch: a.Epoch, Release: a.Release, Rollout: a.Rollout}, err
}

// Written returns what has come of a write with this idempotency key, on this node's knowledge: the release that it is
// about, and whether it was carried out, or has begun a rollout.
func (m *Manager) Written(key string) (release uint64, done bool) {
	return m.state().Written(key)
}

// end waits for the end of a rollout, and for this node to use what is in force then.
func (wr *writing) end(ctx context.Context, done Result) (Result, error) {
	if done.Rollout == 0 {
		return done, nil
	}
	var r Rollout
	known := true
	err := wr.await(ctx, func() bool {
		wr.switching.refresh()
		s := wr.state()
		r, known = s.Rollout(done.Rollout)
		done.Epoch = s.Current().Number
		return !known || r.Phase >= PhaseDone
	})
	switch {
	case err != nil:
		return done, fmt.Errorf("rollout %d goes on, and this node does not wait for its end: %w: %w", done.Rollout,
			ErrUncertain, err)
	case !known:
		return done, fmt.Errorf("rollout %d is not in the log any more: %w", done.Rollout, ErrUncertain)
	case r.Phase == PhaseAborted:
		return done, fmt.Errorf("%w: %s", ErrRefused, r.Reason)
	case r.Phase == PhaseReturned:
		return done, fmt.Errorf("%w: %s", ErrReturned, r.Reason)
	}
	if err := wr.usability.awaitUse(ctx); err != nil && !errors.Is(err, ErrClosed) {
		return done, fmt.Errorf("epoch %d is in force, and this node is not ready for it: %w", done.Epoch, err)
	}
	done.Restart = wr.restarts.restartOf(r)
	return done, nil
}
