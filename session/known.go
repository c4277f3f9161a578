package session

import (
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"
)

// knownSlots is how many tokens a node remembers to be genuine: half a MiB.
const knownSlots = 1 << 12

// knownTokens remembers tokens that were found to be genuine, so that the next request with one costs no MAC. It says
// nothing of the session behind a token: that may have ended since, and is looked up each time.
//
// What a known holds makes no token: of its random part there is the hash by which the store knows the session. Only what
// has passed as genuine gets in, so forged tokens push nothing out, and only what has passed twice, so those that come once
// push nothing out either and cost nothing more. Its size has a bound.
type knownTokens struct {
	slots atomic.Pointer[[knownSlots]knownSlot] // nil until there is something to remember
}

type knownSlot struct {
	token atomic.Pointer[known] // replaced, never edited
	last  atomic.Uint32         // a part of the MAC of the token that passed here last without being known
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
	return int(binary.BigEndian.Uint16(t[len(t)-macLen:])) % knownSlots
}

// hint tells tokens of one slot apart, as a rule; 0 is none.
func (t *tokenTail) hint() uint32 {
	return binary.BigEndian.Uint32(t[len(t)-4:]) | 1
}

// find returns the token of that tail which was genuine by the key of that number, or nil. The random part is the caller's to
// compare. It takes the same time wherever the tails differ.
func (t *knownTokens) find(tail *tokenTail, number uint64) *known {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	e := slots[tail.slot()].token.Load()
	if e == nil || e.signedBy != number || subtle.ConstantTimeCompare(e.tail[:], tail[:]) == 0 {
		return nil
	}
	return e
}

// passed takes note of a token that was found to be genuine, and returns what is remembered of it: nil if it was not the last
// to pass here.
func (t *knownTokens) passed(tail *tokenTail, key StoreKey, number uint64) *known {
	slots := t.slots.Load()
	if slots == nil {
		t.slots.CompareAndSwap(nil, new([knownSlots]knownSlot))
		slots = t.slots.Load()
	}
	slot := &slots[tail.slot()]
	if hint := tail.hint(); slot.last.Load() != hint {
		slot.last.Store(hint)
		return nil
	}
	e := &known{tail: *tail, key: key, signedBy: number}
	slot.token.Store(e)
	return e
}

// brought takes note of an index that was found to be genuine, and returns what is now remembered of its token.
func (t *knownTokens) brought(e *known, index *[indexLen]byte, cluster string, number uint64) *known {
	next := *e
	next.index, next.cluster, next.indexSigned = *index, cluster, number
	t.slots.Load()[e.tail.slot()].token.Store(&next)
	return &next
}

// holds reports whether an index is the one that was found to be genuine.
func (e *known) holds(index *[indexLen]byte, cluster string, number uint64) bool {
	return e != nil && e.indexSigned == number && e.cluster == cluster && subtle.ConstantTimeCompare(e.index[:], index[:]) == 1
}
