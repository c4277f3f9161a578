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

func (n *Node) answerStatus() []byte {
	b := wire.AppendString(wire.AppendString(nil, n.gossipName()), n.instance().server)
	index, _ := n.instance().fsm.View()
	return binary.AppendUvarint(b, index)
}

// statusOf asks a member over the connection that there is to it.
func (n *Node) statusOf(ctx context.Context, node string) (status, error) {
	out, _, err := n.peers.Call(ctx, node, wire.MethodStatus, nil)
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
