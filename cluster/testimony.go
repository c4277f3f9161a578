package cluster

import (
	"encoding/binary"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// testimony is what a copy says of itself.
type testimony struct {
	chain replica.Point // at the index it was asked for, or the newest before
	state replica.Point // of the last state that it has hashed as a whole
}

func (t testimony) append(dst []byte) []byte {
	return replica.AppendPoint(replica.AppendPoint(dst, t.chain), t.state)
}

func parseTestimony(b []byte) (testimony, error) {
	r := wire.NewReader(b)
	t := testimony{chain: replica.ReadPoint(r), state: replica.ReadPoint(r)}
	return t, r.End()
}

// question asks a copy for its testimony, and tells what is known.
type question struct {
	server string
	index  uint64
	divergence
}

func (q question) append(dst []byte) []byte {
	dst = binary.AppendUvarint(wire.AppendString(dst, q.server), q.index)
	return append(wire.AppendString(dst, q.text), wire.BoolByte(q.stop))
}

func parseQuestion(b []byte) (question, error) {
	r := wire.NewReader(b)
	q := question{server: r.Text(), index: r.Uvarint(),
		divergence: divergence{text: r.Text(), stop: r.Byte() != 0}}
	return q, r.End()
}
