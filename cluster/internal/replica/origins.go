package replica

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// origins is the exactly-once table: part of the replicated state. It remembers the answers to the batches
// that their origin may still ask for again, so that a batch which reached the log twice is applied once.
type origins struct {
	byID map[uint64]*origin
}

type origin struct {
	wire.Registration                        // its floor rises with the batches
	answers           map[uint64]wire.Answer // by seq, at and above floor
}

func newOrigins() origins { return origins{byID: map[uint64]*origin{}} }

// register adds an origin. A later Raft instance of the same server takes the place of the earlier one, whose
// batches can only be stragglers. Two of them with one boot counter, or an earlier counter than one already
// seen, mean that a disk was set back.
//
// An origin that is known already may register again, after a straggler of an earlier registration of its
// own. With raise its floor is then the higher one of the two: what the later registration fences off stays
// out. Programs of a lower level than wire.LevelSafety keep the floor of the first, so it is not raised
// before that level is in force: the table is replicated state.
func (t *origins) register(g wire.Registration, raise bool) wire.Code {
	if o := t.byID[g.Origin]; o != nil {
		if raise {
			o.raise(g.Floor)
		}
		return wire.CodeOK
	}
	if t.setBack(g) {
		return wire.CodeSetBack
	}
	for id, o := range t.byID {
		if o.Server == g.Server {
			delete(t.byID, id)
		}
	}
	t.byID[g.Origin] = &origin{Registration: g, answers: map[uint64]wire.Answer{}}
	return wire.CodeOK
}

// setBack reports whether g belongs to a disk that is older than what was seen of its server.
func (t *origins) setBack(g wire.Registration) bool {
	for _, o := range t.byID {
		if o.Server == g.Server && (g.Boot < o.Boot || g.Boot == o.Boot && g.Origin != o.Origin) {
			return true
		}
	}
	return false
}

// find returns the answer to b if it needs no applying: given before, or refused. Else the batch must be
// applied and its answer kept.
func (t *origins) find(b *wire.Batch) (wire.Answer, bool) {
	o := t.byID[b.Origin]
	switch {
	case o == nil:
		return wire.Answer{Code: wire.CodeUnregistered}, true
	case b.Seq < o.Floor:
		return wire.Answer{Code: wire.CodeStale}, true
	}
	a, ok := o.answers[b.Seq]
	return a, ok
}

// keep remembers the answer to b and forgets those below the origin's floor.
func (t *origins) keep(b *wire.Batch, a wire.Answer) {
	o := t.byID[b.Origin]
	o.answers[b.Seq] = a
	o.raise(b.Floor)
}

// raise forgets the answers below a floor. A floor never falls.
func (o *origin) raise(floor uint64) {
	if floor <= o.Floor {
		return
	}
	o.Floor = floor
	for seq := range o.answers {
		if seq < o.Floor {
			delete(o.answers, seq)
		}
	}
}

// retain drops the origins of servers that are not in the configuration any more.
func (t *origins) retain(servers []string) {
	for id, o := range t.byID {
		if !slices.Contains(servers, o.Server) {
			delete(t.byID, id)
		}
	}
}

// append writes the table in a form that is equal for equal tables.
func (t *origins) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.byID)))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		o := t.byID[id]
		dst = wire.AppendRegistration(dst, o.Registration)
		dst = binary.AppendUvarint(dst, uint64(len(o.answers)))
		for _, seq := range slices.Sorted(maps.Keys(o.answers)) {
			dst = binary.AppendUvarint(dst, seq)
			dst = wire.AppendAnswer(dst, o.answers[seq])
		}
	}
	return dst
}

func readOrigins(r *wire.Reader) origins {
	t := newOrigins()
	for range r.Count(10) {
		o := &origin{Registration: wire.ReadRegistration(r), answers: map[uint64]wire.Answer{}}
		for range r.Count(4) {
			seq := r.Uvarint()
			o.answers[seq] = wire.ReadAnswer(r)
		}
		t.byID[o.Origin] = o
	}
	return t
}
