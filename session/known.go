package session

import (
	"crypto/subtle"
	"sync/atomic"
)

// knownSlots is how many tokens a node remembers to be genuine: half a MiB.
const knownSlots = 1 << 12

// knownTokens remembers tokens that were found to be genuine, so that the next request with one costs no MAC. It says
// nothing of the session behind a token: that may have ended since, and is looked up each time.
//
// What a known holds makes no token: of its random part there is the hash by which the store knows the session. Only what
// has passed as genuine gets in, so forged tokens push nothing out, and its size has a bound. What is in a slot is replaced
// by the next that belongs there, never edited.
type knownTokens struct {
	slots atomic.Pointer[[knownSlots]atomic.Pointer[known]] // nil until there is something to remember
}

// known is a token that was found to be genuine, and the newest index that came with it and was.
type known struct {
	tail     tokenTail
	key      StoreKey // of the random part
	signedBy uint64   // macKey.number

	index       [indexLen]byte // zero = none
	cluster     string         // that the index is bound to
	indexSigned uint64         // macKey.number
}

// tokenTail is a token without its random part: time of issue, key id and MAC.
type tokenTail [tokenLen - randomLen]byte

// slot is chosen by the MAC: it is there before anything has been computed, it is no secret, and nobody can choose one
// that is genuine.
func (t *tokenTail) slot() int {
	mac := t[len(t)-macLen:]
	return (int(mac[0])<<8 | int(mac[1])) % knownSlots
}

// find returns the token of that tail which was genuine by the key of that number, or nil. The random part is the caller's to
// compare. It takes the same time wherever the tails differ.
func (t *knownTokens) find(tail *tokenTail, number uint64) *known {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	e := slots[tail.slot()].Load()
	if e == nil || e.signedBy != number || subtle.ConstantTimeCompare(e.tail[:], tail[:]) == 0 {
		return nil
	}
	return e
}

// keep remembers a token in place of another.
func (t *knownTokens) keep(e *known) {
	slots := t.slots.Load()
	if slots == nil {
		t.slots.CompareAndSwap(nil, new([knownSlots]atomic.Pointer[known]))
		slots = t.slots.Load()
	}
	slots[e.tail.slot()].Store(e)
}

// holds reports whether an index is the one that was found to be genuine.
func (e *known) holds(index *[indexLen]byte, cluster string, number uint64) bool {
	return e.indexSigned == number && e.cluster == cluster && subtle.ConstantTimeCompare(e.index[:], index[:]) == 1
}

// with returns the same token with another index.
func (e *known) with(index *[indexLen]byte, cluster string, number uint64) *known {
	next := *e
	next.index, next.cluster, next.indexSigned = *index, cluster, number
	return &next
}
