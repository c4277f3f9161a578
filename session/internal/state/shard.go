package state

import "sync"

const (
	pageLen = 51      // sessions; 8 + 51*80 bytes plus the allocator's header fill a size class of 4,096
	inGrave = 1 << 31 // marks entries of shard.index that lead to a grave
	noSlot  = inGrave - 1
)

// page holds the sessions of pageLen slots. Once a snapshot has seen it, it is replaced by a copy before the next change.
type page struct {
	epoch uint64 // of the table when the page was made
	slots [pageLen]session
}

// link chains a slot into the list of its minute, or into the list of free slots.
type link struct{ prev, next uint32 }

// shard is what begins with one byte of key.
type shard struct {
	mu     sync.RWMutex // taken by Apply to change, by other goroutines to read, what is in this block
	index  map[Key]uint32
	pages  []*page
	graves graves

	// Only Apply's goroutine looks at these.
	links []link
	free  uint32           // first of the free slots
	used  int              // slots with a session
	due   map[int64]uint32 // minute of the deadline -> first of its slots
}

func (sh *shard) init() {
	sh.index = make(map[Key]uint32)
	sh.due = make(map[int64]uint32)
	sh.pages, sh.links, sh.free, sh.used = nil, nil, noSlot, 0
}

// slot returns where a session is, whether it is past its deadline or not.
func (sh *shard) slot(key Key) (slot uint32, ok bool) {
	slot, ok = sh.index[key]
	return slot, ok && slot&inGrave == 0
}

// at returns a session for reading.
func (sh *shard) at(slot uint32) *session {
	return &sh.pages[slot/pageLen].slots[slot%pageLen]
}

// editLocked returns a session for writing.
func (sh *shard) editLocked(slot uint32, epoch uint64) *session {
	p := &sh.pages[slot/pageLen]
	if (*p).epoch < epoch {
		c := **p
		c.epoch = epoch
		*p = &c
	}
	return &(*p).slots[slot%pageLen]
}

// insertLocked gives a new session a slot.
func (sh *shard) insertLocked(s session, epoch uint64) uint32 {
	slot := sh.free
	if slot != noSlot {
		sh.free = sh.links[slot].next
	} else {
		slot = uint32(len(sh.links))
		sh.links = append(sh.links, link{})
		if int(slot) == len(sh.pages)*pageLen {
			sh.pages = append(sh.pages, &page{epoch: epoch})
		}
	}
	*sh.editLocked(slot, epoch) = s
	sh.index[s.key] = slot
	sh.used++
	return slot
}

// removeLocked frees a slot that is in no list any more. The index entry is the caller's.
func (sh *shard) removeLocked(slot uint32, epoch uint64) {
	*sh.editLocked(slot, epoch) = session{}
	sh.links[slot].next = sh.free
	sh.free = slot
	sh.used--
}

// link puts a slot at the head of its minute's list.
func (sh *shard) link(slot uint32, minute int64) {
	next, ok := sh.due[minute]
	if !ok {
		next = noSlot
	} else {
		sh.links[next].prev = slot
	}
	sh.links[slot] = link{prev: noSlot, next: next}
	sh.due[minute] = slot
}

func (sh *shard) unlink(slot uint32, minute int64) {
	l := sh.links[slot]
	if l.next != noSlot {
		sh.links[l.next].prev = l.prev
	}
	switch {
	case l.prev != noSlot:
		sh.links[l.prev].next = l.next
	case l.next != noSlot:
		sh.due[minute] = l.next
	default:
		delete(sh.due, minute)
	}
}

// sparse reports whether most of the shard's memory holds nothing.
func (sh *shard) sparse() bool {
	return len(sh.links) > 4*pageLen && sh.used < len(sh.links)/4
}

// compact gives the memory of vanished sessions back. Maps and pages never shrink by themselves. Slots change their
// numbers, which nothing outside of the shard knows.
func (sh *shard) compact(epoch uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	pages, index := sh.pages, sh.index
	sh.init()
	sh.index = make(map[Key]uint32, len(index))
	for _, p := range pages {
		for i := range p.slots {
			if s := &p.slots[i]; s.absolute != 0 {
				sh.link(sh.insertLocked(*s, epoch), s.minute())
			}
		}
	}
	for key, n := range index {
		if n&inGrave != 0 {
			sh.index[key] = n
		}
	}
}
