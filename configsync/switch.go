package configsync

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// switching goes from what is in force in the log to what this node uses. The snapshot that is in use, and what the
// program's hooks have prepared for the next one, change together: they are under one lock. Hooks commit while it is
// held, and the locks of hooks, stock and previews are taken under it.
type switching struct {
	*base
	hooks    *hooks
	stock    *stock
	previews *previews
	defaults *staged               // of the release 0
	begun    atomic.Pointer[start] // nil until Begun, or until somebody looks
	late     chan struct{}         // has room for one: something in force is not ready here

	now        atomic.Pointer[snapshot] // the newest; replaced under mu
	committing atomic.Bool              // hooks commit, under mu: they may look at what is in use, and not wait for mu

	mu       sync.Mutex
	prepared *prepared // hooks that have run for a release that is ready; guarded by mu
	failed   *failure  // the last attempt to become ready for what is in force; guarded by mu
	toSay    []func()  // for the logger, when mu is free again; guarded by mu
	lacking  digest    // of the canary that was last found not to be had; guarded by mu
}

func newSwitching(b *base, hooks *hooks, stock *stock, previews *previews, defaults *staged) *switching {
	sw := &switching{base: b, hooks: hooks, stock: stock, previews: previews, defaults: defaults,
		late: make(chan struct{}, 1)}
	sw.now.Store(newSnapshot(new(state.State), defaults, use{}, nil))
	return sw
}

// unlock frees mu, and then tells the logger what there is to say: the logger is code of the program, and may ask
// for what needs the lock.
func (sw *switching) unlock() {
	said := sw.toSay
	sw.toSay = nil
	sw.mu.Unlock()
	for _, say := range said {
		say()
	}
}

// sayLocked has unlock call what tells the logger something.
func (sw *switching) sayLocked(say func()) { sw.toSay = append(sw.toSay, say) }

// look returns the snapshot of what is in force, for a request.
func (sw *switching) look() *snapshot { return sw.used(sw.settled()) }

// glance is look for what is no request: a hook that commits, which is waited for, sees what is in use until then.
func (sw *switching) glance() *snapshot {
	if sw.committing.Load() {
		return sw.now.Load()
	}
	return sw.settled()
}

// used returns a snapshot that somebody uses.
func (sw *switching) used(s *snapshot) *snapshot {
	if sw.begun.Load() == nil {
		sw.begun.CompareAndSwap(nil, &start{s.use, s.staged.values, false})
	}
	return s
}

// settled is refresh, and waits a while if this node is only just making itself ready for what is in force.
func (sw *switching) settled() *snapshot {
	s := sw.refresh()
	if !s.pending() {
		return s
	}
	over := time.NewTimer(time.Until(s.patience))
	defer over.Stop()
	for s.pending() {
		select {
		case <-s.replaced:
		case <-over.C:
			return s
		case <-sw.ctx.Done():
			return s
		}
		s = sw.refresh()
	}
	return s
}

// How long requests wait for a node that makes itself ready for what is in force: if it has all it needs, and
// if it has to fetch something first.
const (
	patienceHere  = codeTime
	patienceFetch = 250 * time.Millisecond
)

// refresh returns the snapshot of what is in force. If that is ready here it is switched to, which is all that
// is done: nobody waits for more than a pointer, and hooks that commit.
func (sw *switching) refresh() *snapshot {
	source := sw.state()
	if s := sw.now.Load(); s.source == source {
		return s
	}
	sw.mu.Lock()
	defer sw.unlock()
	return sw.switchLocked(false)
}

// add keeps a release that is ready, or can never be, as stock.add does. It is no part of a switch: what switchLocked
// forgets, since the state of the log that it has seen needs it no more, was added before it looked.
func (sw *switching) add(st *staged) (*staged, error) {
	sw.mu.Lock()
	defer sw.unlock()
	return sw.stock.add(st)
}

// becameReady takes in that a release is ready that is not in force.
func (sw *switching) becameReady() {
	sw.mu.Lock()
	defer sw.unlock()
	sw.switchLocked(true)
}

// tried takes in how an attempt to become ready for what is in force has ended; nil = it need not be made again.
func (sw *switching) tried(failed *failure) {
	sw.mu.Lock()
	defer sw.unlock()
	sw.failed = failed
	sw.switchLocked(true)
}

// switchLocked makes the snapshot for what is in force. again says that something has become ready, or has
// failed to.
func (sw *switching) switchLocked(again bool) *snapshot {
	source, old := sw.state(), sw.now.Load() // there may be a newer one by now
	if old.source == source && !again {
		return old
	}
	to := useOf(source, sw.settings.Node)
	want := source.Digest(to.release)
	sw.settlePreparedLocked(source, want)
	next := sw.nextLocked(old, source, to, want)
	if next.problem == nil && to != old.use {
		sw.sayLocked(func() {
			sw.log.Info("switched", "epoch", to.epoch, "release", to.release.ID, "canary", to.canary,
				"who", source.Current().Who, "why", source.Current().Why)
		})
	}
	next.set = sw.setOf(source, next)
	next.shared = sw.sharedOf(source, next)
	sw.sayShareLocked(old.source.Canary(), source)
	sw.now.Store(next)
	sw.settlePreparedLocked(source, want)
	sw.prune(source, next)
	close(old.replaced)
	sw.tell()
	return next
}

// nextLocked returns the snapshot that follows old, when a state of the log has put to in force.
func (sw *switching) nextLocked(old *snapshot, source *state.State, to use, want digest) *snapshot {
	st := sw.stock.get(want)
	switch {
	case want == old.staged.digest:
		return newSnapshot(source, old.staged, to, nil) // the same under another number, or no change at all
	case st != nil && st.wrong != nil:
		return sw.unusableLocked(old, source, st)
	case st == nil || !sw.commitLocked(old, st):
		return sw.behindLocked(old, source, want, !to.release.Content.Root.IsZero())
	}
	return newSnapshot(source, st, to, nil)
}

// behindLocked returns the snapshot for as long as what is in force is not ready, and has it made so.
func (sw *switching) behindLocked(old *snapshot, source *state.State, want digest, fetches bool) *snapshot {
	next := newSnapshot(source, old.staged, old.use, ErrBehind)
	next.wants, next.patience = want, time.Now().Add(patienceHere)
	if fetches {
		next.patience = time.Now().Add(patienceFetch)
	}
	if old.problem != nil && old.wants == want { // that has been going on for a while
		next.patience = old.patience
	}
	if sw.failed != nil && sw.failed.want == want {
		next.problem = sw.failed
	}
	select {
	case sw.late <- struct{}{}:
	default:
	}
	return next
}

// unusableLocked returns the snapshot for as long as what is in force is nothing that this program can use.
func (sw *switching) unusableLocked(old *snapshot, source *state.State, st *staged) *snapshot {
	release, _ := source.For(sw.settings.Node)
	next := newSnapshot(source, old.staged, old.use, &unusableError{source.Current().Number, release.ID, st.wrong})
	next.wants = st.digest
	if _, said := errors.AsType[*unusableError](old.problem); !said || old.wants != st.digest {
		sw.sayLocked(func() {
			sw.log.Error("this program cannot use what is in force, and is not ready; is it older than that?",
				"epoch", source.Current().Number, "keeps", old.epoch, "err", st.wrong)
		})
	}
	return next
}

// prune forgets what is ready and needed no more.
func (sw *switching) prune(source *state.State, now *snapshot) {
	needed := map[digest]bool{now.staged.digest: true, sw.defaults.digest: true}
	for _, r := range source.Retained() {
		needed[source.Digest(r)] = true
	}
	sw.previews.keepOf(source)
	sw.stock.keepOnly(needed)
}

// unusableError says that this program can never use what is in force.
type unusableError struct {
	epoch, release uint64
	err            error
}

func (u *unusableError) Error() string {
	return fmt.Sprintf("this program cannot use release %d, which is in force since epoch %d: %v", u.release, u.epoch,
		u.err)
}

func (u *unusableError) Unwrap() error { return u.err }
