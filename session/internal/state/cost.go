package state

// What a session costs is counted in bytes of memory at each node. The count is a part of what decides whether a command is
// refused, so it follows from the replicated state alone, and no command takes longer for it.

const (
	recordCost = 144 // the record, its part of a page, its entry in a map, its links
	graveCost  = 80  // the grave and its entry in a map
)

// Cost returns what a session costs whose names, values and versions take n bytes. An eighth is what the allocator rounds up.
func Cost(n int) int64 { return recordCost + int64(n) + int64(n)/8 }

// crowded reports whether there is no room for another session with these values. The last eighth of Total is for those that
// exist.
func (t *table) crowded(values blob) bool {
	l := t.limits.Load()
	if t.live.Load() >= int64(l.Sessions) {
		return true
	}
	return l.Total > 0 && t.bytes.Load()+Cost(len(values)) > l.Total-l.Total/8
}

// noRoom is the answer then. Before a ChangeLimits it is that of the programs of earlier releases: all nodes answer alike.
func (t *table) noRoom() Status {
	if t.limitsVersion.Load() == 0 {
		return TooLarge
	}
	return Full
}

// outgrows reports whether there is no room for that much more of an existing session. What grows by nothing always fits.
func (t *table) outgrows(by int64) bool {
	total := t.limits.Load().Total
	return total > 0 && by > 0 && t.bytes.Load()+by > total
}

// endings counts the graves of the last five minutes, by the second. When a grave is swept away is nobody's business and may differ
// between nodes; so the count goes by time alone. It lets go of each grave up to a second before that stops to count, never after:
// hence a snapshot, which has all graves that count, has all that is needed to count again.
type endings struct {
	perSecond [endingSeconds]int64
	first     int64 // the first second that is counted
}

const endingSeconds = int64(TombstoneTTL / 1e9)

// advance moves the present to a later time in ms, and returns how many are not counted any more.
func (e *endings) advance(now int64) (gone int64) {
	first := max(0, now/1000-endingSeconds+1)
	for s := e.first; s < first && s < e.first+endingSeconds; s++ {
		gone += e.perSecond[s%endingSeconds]
		e.perSecond[s%endingSeconds] = 0
	}
	e.first = max(e.first, first)
	return gone
}

// add counts an ending at a time in ms that is not after the present, and returns 1; 0 if it is too long ago to count.
func (e *endings) add(at int64) int64 {
	s := at / 1000
	if s < e.first {
		return 0
	}
	e.perSecond[s%endingSeconds]++
	return 1
}
