package forward

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/pick"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/texthop"
)

// way is how requests reach a peer. Do makes one attempt.
type way interface {
	Do(w http.ResponseWriter, r *http.Request, a *lane.Attempt) lane.Outcome
	Running() int
	Close()
}

// peer is one member that requests may be sent to, with its connections.
type peer struct {
	id, name string
	pick     *pick.Peer // what is known of how it does
	lanes    *lane.Client
	text     *texthop.Client // for programs up to v0.1
	old      atomic.Bool     // the peer runs such a program
}

func newPeer(id, name string, h *hop) *peer {
	dial := func(proto string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return h.source.Dial(ctx, id, proto) }
	}
	p := &peer{id: id, name: name,
		text: texthop.NewClient(texthop.Config{Dial: dial(ProtoText), Take: h.room.take, Give: h.room.give, Logger: h.cfg.Logger}),
	}
	p.pick = h.set.New(id, p)
	p.lanes = lane.NewClient(lane.Config{Dial: dial(Proto), Take: h.room.take, Give: h.room.give,
		Drains: func(on bool) { p.pick.Bar(pick.Draining, on) }})
	return p
}

// do makes one attempt.
func (p *peer) do(w http.ResponseWriter, r *http.Request, a *lane.Attempt) lane.Outcome {
	var to way = p.lanes
	if p.old.Load() {
		to = p.text
	}
	return to.Do(w, r, a)
}

// close cuts every connection.
func (p *peer) close() {
	p.lanes.Close()
	p.text.Close()
}
