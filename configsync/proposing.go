package configsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// proposing has the log take commands, and this node use what has come of them.
type proposing struct {
	*base
	switching *switching
}

// barrier returns when this node knows all that was acknowledged before, on any node. Errors: ErrLocal, and those of
// the log.
func (pp *proposing) barrier(ctx context.Context) error {
	if pp.settings.Log == nil {
		return ErrLocal
	}
	return pp.settings.Log.Barrier(ctx)
}

// take has the log take a step that somebody has asked for.
func (pp *proposing) take(ctx context.Context, cmd []byte) error {
	if pp.settings.Log == nil {
		return ErrLocal
	}
	index, value, err := pp.settings.Log.Propose(ctx, cmd)
	if err != nil && index == 0 {
		return err
	}
	pp.switching.refresh()
	a, err := state.DecodeAnswer(value)
	if err == nil {
		err = outcome(a)
	}
	return err
}

// togetherLog is a Log that can have all nodes apply a command at nearly the same moment, as package cluster's Handle
// on the node that leads.
type togetherLog interface {
	ProposeTogether(ctx context.Context, cmd []byte) (index uint64, value []byte, err error)
}

// step has the log take a step, by which nodes switch or not. What went wrong is tried again from the beginning, if
// it is still due.
func (pp *proposing) step(ctx context.Context, switches bool, cmd []byte) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	propose := pp.settings.Log.Propose
	if l, ok := pp.settings.Log.(togetherLog); ok && switches {
		propose = l.ProposeTogether
	}
	index, value, err := propose(ctx, cmd)
	if index == 0 && err != nil {
		pp.log.Debug("a step of a rollout was not taken", "err", err)
		return err
	}
	pp.switching.refresh()
	a, err := state.DecodeAnswer(value)
	if err == nil {
		err = outcome(a)
	}
	if err != nil && !errors.Is(err, ErrEnded) { // somebody else has taken it
		pp.log.Error("the log refuses a step of a rollout", "err", err)
	}
	return err
}

// busy is ErrBusy, and says what by.
func (pp *proposing) busy(rollout uint64) error {
	c := pp.state().Canary()
	if c.Percent > 0 && c.Rollout == rollout {
		return fmt.Errorf("%w: release %[2]d is a canary for %[3]d %% of the clients, and has to be activated or given "+
			"up first: farmctl activate %[2]d, or farmctl canary end. Its share can also be raised; fewer clients "+
			"would go back", ErrBusy, c.Release, c.Percent)
	}
	if c.Release != 0 && c.Rollout == rollout {
		return fmt.Errorf("%w: release %[2]d is a canary on %[3]s, and has to be activated or given up first: "+
			"farmctl activate %[2]d, or farmctl canary end", ErrBusy, c.Release, strings.Join(c.Nodes, ", "))
	}
	return fmt.Errorf("%w: rollout %d is in progress: wait for its end, or end it (farmctl abort)", ErrBusy, rollout)
}

func outcome(a state.Answer) error {
	switch a.Status {
	case state.OK, state.Same:
		return nil
	case state.Conflict:
		return ErrConflict
	case state.Busy:
		return fmt.Errorf("%w: rollout %d is in progress, or its canary: wait for its end, or end it (farmctl abort)",
			ErrBusy, a.Rollout)
	case state.NoRelease:
		return fmt.Errorf("%w; farmctl releases lists those that are", ErrNoRelease)
	case state.Ended:
		return fmt.Errorf("%w; farmctl releases shows what is", ErrEnded)
	case state.NotSharable:
		return ErrContentOnly
	case state.UnknownCredential:
		return credential.ErrUnknown
	case state.ExpiredCredential:
		return credential.ErrExpired
	case state.RevokedCredential:
		return credential.ErrRevoked
	case state.TooManyCredentials:
		return fmt.Errorf("%w: %d; revoke one that nobody needs (farmctl credential revoke)", ErrManyCredentials,
			state.MaxCredentials)
	case state.TooLarge:
		return fmt.Errorf("configsync: a revision has at most %d files with %d bytes: %w", state.MaxFiles,
			state.MaxBytes, ErrTooLarge)
	}
	return fmt.Errorf("%w: who has at most %d bytes, why %d, key %d, a path %d, a version %d, a plan %v for each time, "+
		"and all is UTF-8", errMalformed, state.MaxWho, state.MaxWhy, state.MaxKey, state.MaxPath, state.MaxProgram,
		state.MaxDuration)
}

// errMalformed says that a command is none that the log takes.
var errMalformed = errors.New("configsync: the log does not take this")
