package cluster

import (
	"context"
	"encoding/binary"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// status is what a node says of itself over rpc.
type status struct {
	gossip  string
	server  string
	applied uint64
}

// answerStatus says it to another node.
func (m *members) answerStatus() []byte {
	b := wire.AppendString(wire.AppendString(nil, m.gossipName()), m.instance().server)
	index, _ := m.instance().fsm.View()
	return binary.AppendUvarint(b, index)
}

// statusOf asks a member over the connection that there is to it.
func (m *members) statusOf(ctx context.Context, node string) (status, error) {
	out, _, err := m.peers.Call(ctx, node, wire.MethodStatus, nil)
	if err != nil {
		return status{}, err
	}
	return parseStatus(out)
}

func parseStatus(b []byte) (status, error) {
	r := wire.NewReader(b)
	s := status{gossip: r.Text(), server: r.Text(), applied: r.Uvarint()}
	return s, r.End()
}
