package cluster

import (
	"encoding/binary"
	"maps"
	"slices"
)

// origins is the exactly-once table: part of the replicated state. It remembers the answers to the batches that their
// origin may still ask for again, so that a batch which reached the log twice is applied once.
type origins struct {
	byID map[uint64]*origin
}

type origin struct {
	registration                   // its floor rises with the batches
	answers      map[uint64]answer // by seq, at and above floor
}

func newOrigins() origins { return origins{byID: map[uint64]*origin{}} }

// register adds an origin. A later run of the same server takes the place of the earlier one, whose batches can only be
// stragglers. Two runs with one boot counter, or an earlier counter than one already seen, mean that a disk was set back.
//
// An origin that is known already may register again, after a straggler of an earlier registration of its own. With raise its
// floor is then the higher one of the two: what the later registration fences off stays out. Programs of a lower level than
// levelSafety keep the floor of the first, so it is not raised before that level is in force: the table is replicated state.
func (t *origins) register(g registration, raise bool) code {
	if o := t.byID[g.origin]; o != nil {
		if raise {
			o.raise(g.floor)
		}
		return codeOK
	}
	if t.setBack(g) {
		return codeSetBack
	}
	for id, o := range t.byID {
		if o.server == g.server {
			delete(t.byID, id)
		}
	}
	t.byID[g.origin] = &origin{registration: g, answers: map[uint64]answer{}}
	return codeOK
}

// setBack reports whether g belongs to a disk that is older than what was seen of its server.
func (t *origins) setBack(g registration) bool {
	for _, o := range t.byID {
		if o.server == g.server && (g.boot < o.boot || g.boot == o.boot && g.origin != o.origin) {
			return true
		}
	}
	return false
}

// find returns the answer to b if it needs no applying: given before, or refused. Else the batch must be applied and
// its answer kept.
func (t *origins) find(b *batch) (answer, bool) {
	o := t.byID[b.origin]
	switch {
	case o == nil:
		return answer{code: codeUnregistered}, true
	case b.seq < o.floor:
		return answer{code: codeStale}, true
	}
	a, ok := o.answers[b.seq]
	return a, ok
}

// keep remembers the answer to b and forgets those below the origin's floor.
func (t *origins) keep(b *batch, a answer) {
	o := t.byID[b.origin]
	o.answers[b.seq] = a
	o.raise(b.floor)
}

// raise forgets the answers below a floor. A floor never falls.
func (o *origin) raise(floor uint64) {
	if floor <= o.floor {
		return
	}
	o.floor = floor
	for seq := range o.answers {
		if seq < o.floor {
			delete(o.answers, seq)
		}
	}
}

// retain drops the origins of servers that are not in the configuration any more.
func (t *origins) retain(servers []string) {
	for id, o := range t.byID {
		if !slices.Contains(servers, o.server) {
			delete(t.byID, id)
		}
	}
}

// append writes the table in a form that is equal for equal tables.
func (t *origins) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.byID)))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		o := t.byID[id]
		dst = appendRegistration(dst, o.registration)
		dst = binary.AppendUvarint(dst, uint64(len(o.answers)))
		for _, seq := range slices.Sorted(maps.Keys(o.answers)) {
			dst = binary.AppendUvarint(dst, seq)
			dst = appendAnswer(dst, o.answers[seq])
		}
	}
	return dst
}

func readOrigins(r *wireReader) origins {
	t := newOrigins()
	for range r.count(10) {
		o := &origin{registration: readRegistration(r), answers: map[uint64]answer{}}
		for range r.count(4) {
			seq := r.uvarint()
			o.answers[seq] = readAnswer(r)
		}
		t.byID[o.origin] = o
	}
	return t
}
