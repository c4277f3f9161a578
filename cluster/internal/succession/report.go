package succession

import (
	"cmp"
	"encoding/binary"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Report is what a server says of itself in a survey.
type Report struct {
	Server    string
	Term      uint64 // of the last entry
	Last      uint64 // index of the last entry
	Ordinary  bool   // it may vote
	Down      bool   // its Raft has ended for good
	Successor string // server ID it has promised to follow
	Voters    []string
	Nonvoters []string
}

// Append appends the report in the form that ReadReport reads.
func (r *Report) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(wire.AppendString(dst, r.Server), r.Term), r.Last)
	dst = wire.AppendString(append(dst, wire.BoolByte(r.Ordinary), wire.BoolByte(r.Down)), r.Successor)
	return wire.AppendStrings(wire.AppendStrings(dst, r.Voters), r.Nonvoters)
}

// ReadReport reads a report. What is malformed is an error.
func ReadReport(b []byte) (*Report, error) {
	rd := wire.NewReader(b)
	r := &Report{Server: rd.Text(), Term: rd.Uvarint(), Last: rd.Uvarint(), Ordinary: rd.Byte() != 0,
		Down:      rd.Byte() != 0,
		Successor: rd.Text(), Voters: rd.Texts(), Nonvoters: rd.Texts()}
	return r, rd.End()
}

// Richer is the order by which survivors are compared: the one that holds more comes last.
func Richer(a, b *Report) int {
	return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(a.Last, b.Last),
		cmp.Compare(wire.BoolByte(a.Ordinary), wire.BoolByte(b.Ordinary)), cmp.Compare(b.Server, a.Server))
}
