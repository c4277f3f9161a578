package cluster

import (
	"cmp"
	"encoding/binary"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// report is what a server says of itself in a survey.
type report struct {
	server    string
	term      uint64 // of the last entry
	last      uint64 // index of the last entry
	ordinary  bool   // it may vote
	down      bool   // its Raft has ended for good
	successor string // server ID it has promised to follow
	voters    []string
	nonvoters []string
}

func (r *report) append(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(wire.AppendString(dst, r.server), r.term), r.last)
	dst = wire.AppendString(append(dst, wire.BoolByte(r.ordinary), wire.BoolByte(r.down)), r.successor)
	return wire.AppendStrings(wire.AppendStrings(dst, r.voters), r.nonvoters)
}

func parseReport(b []byte) (*report, error) {
	rd := wire.NewReader(b)
	r := &report{server: rd.Text(), term: rd.Uvarint(), last: rd.Uvarint(), ordinary: rd.Byte() != 0, down: rd.Byte() != 0,
		successor: rd.Text(), voters: rd.Texts(), nonvoters: rd.Texts()}
	return r, rd.End()
}

// richer is the order by which survivors are compared: the one that holds more comes last.
func richer(a, b *report) int {
	return cmp.Or(cmp.Compare(a.term, b.term), cmp.Compare(a.last, b.last),
		cmp.Compare(wire.BoolByte(a.ordinary), wire.BoolByte(b.ordinary)), cmp.Compare(b.server, a.server))
}
