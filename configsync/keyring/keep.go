package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// Policy says how long the keys of a purpose are good for.
type Policy struct {
	// Rotate is how long a key signs before another takes its place; 0 = 90 days, or a thirtieth of Accept if
	// that is longer; negative = until an operator rotates it.
	Rotate time.Duration

	// Accept is how long after that what it signed is accepted; 0 = 180 days. It must be longer than what was
	// signed is of use. A purpose has 32 keys at most, so it can be no longer than 30 times Rotate.
	Accept time.Duration
}

const (
	day           = 24 * time.Hour
	defaultRotate = 90 * day
	defaultAccept = 180 * day
)

func (p Policy) withDefaults() Policy {
	if p.Accept == 0 {
		p.Accept = defaultAccept
	}
	if p.Rotate == 0 {
		p.Rotate = max(defaultRotate, p.Accept/(maxLive-2))
	}
	return p
}

// Validate says what is wrong with a Policy; nil if nothing is.
func (p Policy) Validate() error {
	p = p.withDefaults()
	switch {
	case p.Accept < 0:
		return fmt.Errorf("Accept is %v; what was signed must be accepted for a while", p.Accept)
	case p.Accept > maxDuration || p.Rotate > maxDuration:
		return fmt.Errorf("Rotate is %v and Accept %v; neither can be longer than %v", p.Rotate, p.Accept,
			maxDuration)
	case p.Rotate > 0 && p.Rotate < time.Minute:
		return fmt.Errorf("Rotate is %v; it must be a minute at least", p.Rotate)
	case p.Rotate > 0 && p.Accept/p.Rotate > maxLive-2:
		return fmt.Errorf("Accept is %v, more than %d times Rotate (%v), so there would be too many keys", p.Accept,
			maxLive-2, p.Rotate)
	}
	return nil
}

// Keeping says how Keep keeps a ring.
type Keeping struct {
	// Policies holds the purposes that are kept, and how. Others are left alone.
	Policies map[string]Policy

	// Absent is how long a new key waits for a member that cannot be reached before it signs without; 0 = one
	// hour. Until such a member is back in touch it answers "not yet" to what the key has signed.
	Absent time.Duration

	Logger *slog.Logger // nil = slog.Default()
}

func (k Keeping) withDefaults() Keeping {
	if k.Absent == 0 {
		k.Absent = time.Hour
	}
	if k.Logger == nil {
		k.Logger = slog.Default()
	}
	return k
}

// Policy returns the policy of a purpose, with its defaults.
func (k Keeping) Policy(purpose string) Policy { return k.Policies[purpose].withDefaults() }

const (
	lookEvery  = 10 * time.Second
	trySpread  = 10 * time.Second // for all members to say that they have a key
	tryPropose = 10 * time.Second
	patience   = time.Minute // how much later than another node one does what is due, at most; see keeper.turn
)

func (p Policy) patience() time.Duration {
	if p.Rotate < 0 {
		return patience
	}
	return min(patience, p.Rotate/10)
}

// Keep rotates the keys, has new ones sign once all members have them, and retires old ones, until ctx ends.
// Every node runs it. What is due is decided by the log and its time, so many nodes do it once; a random
// delay makes it nearly always one node's work. Below protocol level 4 nothing is due.
func (r *Ring) Keep(ctx context.Context, cfg Keeping) {
	k := &keeper{ring: r, cfg: cfg.withDefaults(), due: map[string]time.Time{}, waits: map[string]string{}}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-r.kick:
			k.kicked = true
		}
		k.look(ctx)
		t.Reset(lookEvery)
	}
}

// keeper is Keep at work. It is one goroutine's.
type keeper struct {
	ring   *Ring
	cfg    Keeping
	kicked bool                 // an operator wants something done now
	due    map[string]time.Time // by what and whose: when this node does it, by its own clock
	waits  map[string]string    // by purpose: whom a pending key waits for, as it was last said
	known  []Info               // as it was last looked at
}

func (k *keeper) look(ctx context.Context) {
	all := k.ring.List()
	k.tell(all)
	if k.ring.log.Level() < rotationLevel {
		return
	}
	for purpose, keys := range byPurpose(all) {
		k.keep(ctx, purpose, keys)
	}
	k.kicked = false
}

// byPurpose yields the keys of each purpose.
func byPurpose(all []Info) func(yield func(string, []Info) bool) {
	return func(yield func(string, []Info) bool) {
		for len(all) > 0 {
			n := slices.IndexFunc(all, func(i Info) bool { return i.Purpose != all[0].Purpose })
			if n < 0 {
				n = len(all)
			}
			if !yield(all[0].Purpose, all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// keep does what is due for the keys of one purpose. What nobody here has a policy for is another program's.
func (k *keeper) keep(ctx context.Context, purpose string, keys []Info) {
	if _, ours := k.cfg.Policies[purpose]; !ours {
		return
	}
	policy, now := k.cfg.Policy(purpose), time.Now()
	over := slices.ContainsFunc(keys, func(i Info) bool { return i.State == Accepting && !i.Ended.After(now) })
	if k.turn("retire "+purpose, over, policy) {
		k.propose(ctx, "retire "+purpose, retire{purpose}.encode())
	}
	if i := slices.IndexFunc(keys, func(i Info) bool { return i.State == Pending }); i >= 0 {
		k.introduce(ctx, keys[i], policy)
		return
	}
	i := slices.IndexFunc(keys, func(i Info) bool { return i.State == Signing })
	over = policy.Rotate > 0 && now.Sub(keys[i].Signed) >= policy.Rotate
	if k.turn("rotate "+purpose, over, policy) {
		newest := keys[len(keys)-1].ID
		if k.propose(ctx, "rotate "+purpose, rotate{purpose, newest, policy.Rotate, newSecret()}.encode()) {
			k.ring.look() // and introduces it
		}
	}
}

// turn reports whether it is for this node to do something that is due. The first time it is due, a random
// delay begins: when it is over, another node has mostly done it.
func (k *keeper) turn(what string, isDue bool, policy Policy) bool {
	if !isDue {
		delete(k.due, what)
		return false
	}
	at, ok := k.due[what]
	if !ok {
		at = time.Now().Add(rand.N(policy.patience()))
		k.due[what] = at
	}
	return !time.Now().Before(at)
}

// introduce has a pending key sign if all members have it, or have had the time for it.
func (k *keeper) introduce(ctx context.Context, key Info, policy Policy) {
	what := "activate " + key.Purpose
	if !k.kicked && !k.turn(what, true, policy) {
		return
	}
	index := k.ring.log.Applied() // this node has the key, so whoever has that index has it
	short, cancel := context.WithTimeout(ctx, trySpread)
	err := k.ring.log.Spread(short, index)
	cancel()
	var after time.Duration
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
	case time.Since(key.Created) < k.cfg.Absent:
		k.sayWaits(key, err)
		return
	default:
		after = k.cfg.Absent
	}
	if k.propose(ctx, what, activate{key.Purpose, key.ID, after, policy.Accept}.encode()) && err != nil {
		k.cfg.Logger.Warn("a new key signs although a member may lack it: that answers 503 to what the key "+
			"has signed, until it is back in touch", "purpose", key.Purpose, "key", key.ID, "err", err)
	}
}

// sayWaits says whom a key waits for, once.
func (k *keeper) sayWaits(key Info, err error) {
	if why := fmt.Sprint(key.ID, err); k.waits[key.Purpose] != why {
		k.waits[key.Purpose] = why
		k.cfg.Logger.Info("a new key does not sign yet: not every member has it", "purpose", key.Purpose,
			"key", key.ID, "at most until", key.Created.Add(k.cfg.Absent), "err", err)
	}
}

// propose has a command carried out, and reports whether it did anything. What went wrong is tried again.
func (k *keeper) propose(ctx context.Context, what string, cmd []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, tryPropose)
	defer cancel()
	_, _, err := k.ring.propose(ctx, cmd)
	delete(k.due, what)
	if early, ok := errors.AsType[earlyError](err); ok { // this node's clock is ahead of the log's time
		k.due[what] = time.Now().Add(time.Duration(early) + rand.N(patience))
	}
	if err != nil {
		k.cfg.Logger.Debug("key ring", "what", what, "err", err)
	}
	return err == nil
}

// tell says what has changed since the last look.
func (k *keeper) tell(all []Info) {
	first := k.known == nil
	was := map[string]State{}
	for _, i := range k.known {
		was[fmt.Sprint(i.Purpose, i.ID)] = i.State
	}
	k.known = all
	for _, i := range all {
		if first || was[fmt.Sprint(i.Purpose, i.ID)] == i.State {
			continue
		}
		log := k.cfg.Logger.With("purpose", i.Purpose, "key", i.ID, "fingerprint", i.Fingerprint)
		switch i.State {
		case Pending:
			log.Info("a new key has come, and signs once all members have it")
		case Signing:
			log.Info("another key signs from now on")
		case Retired:
			log.Info("a key has retired")
		case Revoked:
			log.Warn("a key was revoked: what it signed is worth nothing any more")
		}
	}
}
