package configsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// How long after a failure this node tries again to become ready for what is in force.
const (
	againFirst = time.Second
	againLast  = 10 * time.Second
)

// catchingUp makes this node ready for what is in force whenever it is not.
type catchingUp struct {
	*base
	switching *switching
	staging   *staging
}

// run does so until the Manager is closed.
func (cu *catchingUp) run() {
	again := againFirst
	for {
		select {
		case <-cu.switching.late:
		case <-cu.ctx.Done():
			return
		}
		if cu.once() {
			again = againFirst
			continue
		}
		select {
		case <-time.After(again):
		case <-cu.ctx.Done():
			return
		}
		again = min(2*again, againLast)
		select {
		case cu.switching.late <- struct{}{}:
		default:
		}
	}
}

// once makes this node ready, and reports whether there is nothing more to be done.
func (cu *catchingUp) once() bool {
	source := cu.state()
	r, canary := source.For(cu.settings.Node)
	want := source.Digest(r)
	ctx, cancel := cu.while(cu.ctx, func() bool {
		now := cu.state()
		r, c := now.For(cu.settings.Node)
		return c == canary && now.Digest(r) == want
	})
	defer cancel()
	st, err := cu.make(ctx, source, r)
	if ctx.Err() != nil || errors.Is(err, ErrEnded) {
		return true // something else is in force by now, and has been said so
	}
	never := st != nil && st.wrong != nil
	if err == nil || never {
		cu.switching.tried(nil)
		return true
	}
	cu.log.Error("not ready for what is in force; trying again", "release", r.ID, "err", err)
	cu.switching.tried(&failure{want, source.Current().Number, r.ID, err})
	return false
}

// make makes a release ready, with its hooks. Nothing else is made ready meanwhile, but what comes of it is said after
// that: the logger is code of the program.
func (cu *catchingUp) make(ctx context.Context, source *state.State, r Release) (*staged, error) {
	st, done, err := cu.staging.unasked(ctx, source, r)
	defer done()
	if err == nil {
		err = cu.switching.prepare(ctx, st, 0)
	}
	return st, err
}

// failure is an attempt to become ready that did not succeed; another follows.
type failure struct {
	want           digest
	epoch, release uint64
	err            error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%v, which is release %d of epoch %d: %v", ErrBehind, f.release, f.epoch, f.err)
}

func (f *failure) Unwrap() []error { return []error{ErrBehind, f.err} }
