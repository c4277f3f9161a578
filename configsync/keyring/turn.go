package keyring

import (
	"math"
	"slices"
	"time"
)

// turn is one command at work on the keys of its purpose.
type turn struct {
	now     int64  // ms
	keys    []*key // a copy of the slice; the keys in it are replaced, never changed
	room    bool   // for one more purpose
	changed bool
}

func signingOf(keys []*key) *key { return inState(keys, Signing) }

func inState(keys []*key, s State) *key {
	for i := len(keys) - 1; i >= 0; i-- {
		if keys[i].state == s {
			return keys[i]
		}
	}
	return nil
}

func newestOf(keys []*key) uint32 {
	if len(keys) == 0 {
		return 0
	}
	return keys[len(keys)-1].id
}

// replace puts what change makes of a copy of old in its place.
func (t *turn) replace(old *key, change func(k *key)) {
	next := *old
	change(&next)
	t.keys[slices.Index(t.keys, old)] = &next
	t.changed = true
}

// add adds a key of the next id. Whoever calls it has seen that there is one.
func (t *turn) add(state State, secret Secret) *key {
	k := &key{id: newestOf(t.keys) + 1, state: state, created: t.now, secret: secret}
	if state == Signing {
		k.signed = t.now
	}
	t.keys = append(t.keys, k)
	t.changed = true
	return k
}

// end takes a key's secret away.
func (t *turn) end(k *key, state State, at int64) {
	t.replace(k, func(k *key) { k.state, k.ended, k.secret = state, at, Secret{} })
}

// forget drops what ended longest ago, by id, so that the ring stays small.
func (t *turn) forget() {
	ended := 0
	for _, k := range t.keys {
		if !k.state.live() {
			ended++
		}
	}
	t.keys = slices.DeleteFunc(t.keys, func(k *key) bool {
		drop := !k.state.live() && ended > maxEnded
		if drop {
			ended--
		}
		return drop
	})
}

// early returns how long it is until d after then; 0 if that has passed.
func (t *turn) early(then int64, d time.Duration) time.Duration {
	return time.Duration(max(0, then+d.Milliseconds()-t.now)) * time.Millisecond
}

func (t *turn) moved() result { return result{status: statusMoved, id: newestOf(t.keys)} }

func (c ensure) do(t *turn) result {
	if k := signingOf(t.keys); k != nil {
		return result{status: statusOK, id: k.id}
	}
	if !t.room {
		return result{status: statusFull}
	}
	return result{status: statusOK, id: t.add(Signing, c.secret).id}
}

func (c rotate) do(t *turn) result {
	if newestOf(t.keys) != c.newest || inState(t.keys, Pending) != nil {
		return t.moved()
	}
	if wait := t.early(signingOf(t.keys).signed, c.after); wait > 0 {
		return result{status: statusEarly, wait: wait}
	}
	live := 0
	for _, k := range t.keys {
		if k.state.live() {
			live++
		}
	}
	if live >= maxLive || c.newest == math.MaxUint32 {
		return result{status: statusFull}
	}
	return result{status: statusOK, id: t.add(Pending, c.secret).id}
}

func (c activate) do(t *turn) result {
	k := inState(t.keys, Pending)
	if k == nil || k.id != c.id {
		return t.moved()
	}
	if wait := t.early(k.created, c.after); wait > 0 {
		return result{status: statusEarly, wait: wait}
	}
	t.replace(signingOf(t.keys), func(k *key) { k.state, k.ended = Accepting, t.now+c.accept.Milliseconds() })
	t.sign(k)
	return result{status: statusOK, id: k.id}
}

// sign has a pending key sign from now on.
func (t *turn) sign(k *key) { t.replace(k, func(k *key) { k.state, k.signed = Signing, t.now }) }

func (c retire) do(t *turn) result {
	next := int64(math.MaxInt64) // when the first of the others is due
	for _, k := range slices.Clone(t.keys) {
		switch {
		case k.state != Accepting:
		case k.ended <= t.now:
			t.end(k, Retired, k.ended)
		default:
			next = min(next, k.ended)
		}
	}
	t.forget()
	switch {
	case t.changed:
		return result{status: statusOK, id: newestOf(t.keys)}
	case next < math.MaxInt64:
		return result{status: statusEarly, wait: time.Duration(next-t.now) * time.Millisecond}
	}
	return t.moved()
}

func (c revoke) do(t *turn) result {
	any := false
	for _, k := range slices.Clone(t.keys) {
		if c.from <= k.id && k.id <= c.to {
			any = true
			if k.state.live() {
				t.end(k, Revoked, t.now)
			}
		}
	}
	if !any {
		return result{status: statusNoKey}
	}
	if signingOf(t.keys) == nil {
		switch k := inState(t.keys, Pending); {
		case k != nil: // others may have it already
			t.sign(k)
		case newestOf(t.keys) == math.MaxUint32:
			return t.undo(statusFull)
		default:
			t.add(Signing, c.secret)
		}
	}
	t.forget()
	return result{status: statusOK, id: signingOf(t.keys).id}
}

// undo has nothing come of the turn.
func (t *turn) undo(s status) result {
	t.changed = false
	return result{status: s}
}
