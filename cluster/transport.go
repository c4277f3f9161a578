package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// transport is raft's network transport with a second way in, for what the nudger has to say. It embeds the concrete
// type: behind an interface raft would not find pre-vote.
type transport struct {
	*raft.NetworkTransport
	layer    *streamLayer
	consumer chan raft.RPC
	done     chan struct{}
	inbound  atomic.Int32 // reads of snapshots under way
}

func newTransport(l *streamLayer, log hclog.Logger) *transport {
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: l, Logger: log, MaxPool: 3,
		MaxRPCsInFlight: 2, Timeout: 3 * time.Second, MsgpackUseNewTimeFormat: true})
	return &transport{NetworkTransport: inner, layer: l, consumer: make(chan raft.RPC), done: make(chan struct{})}
}

// Consumer is where raft takes its requests from.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// forward passes on what came over the network, until stop.
func (t *transport) forward() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if rpc.Reader != nil {
				rpc.Reader = &snapshotStream{rpc.Reader, t}
			}
			select {
			case t.consumer <- rpc:
			case <-t.done:
				return
			}
		case <-t.done:
			return
		}
	}
}

func (t *transport) stop() {
	close(t.done)
	t.Close()
	t.CloseStreams()
}

// tell hands raft a request as if it had come over the network, and returns its answer.
func (t *transport) tell(ctx context.Context, req *raft.AppendEntriesRequest) *raft.AppendEntriesResponse {
	ch := make(chan raft.RPCResponse, 1)
	select {
	case t.consumer <- raft.RPC{Command: req, RespChan: ch}:
	case <-t.done:
		return nil
	case <-ctx.Done():
		return nil
	}
	select {
	case resp := <-ch:
		r, _ := resp.Response.(*raft.AppendEntriesResponse)
		return r
	case <-t.done:
		return nil
	case <-ctx.Done():
		return nil
	}
}
