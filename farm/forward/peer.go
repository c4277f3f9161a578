package forward

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/pick"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/texthop"
)

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
	p := &peer{id: id, name: name}
	p.pick = h.set.New(id, p)
	p.lanes = lane.NewClient(lane.Config{
		Dial: dial(Proto),
		Take: h.room.take, Give: h.room.give,
		Drains: p.pick.SetDraining, Down: p.pick.SetDown, Unheard: func(n int) { h.tellUnheard(p, n) },
	})
	p.text = texthop.NewClient(texthop.Config{
		Dial: dial(ProtoText),
		Take: h.room.take, Give: h.room.give,
		Logger: h.cfg.Logger,
	})
	return p
}

// do makes one attempt.
func (p *peer) do(w http.ResponseWriter, r *http.Request, a *lane.Attempt) lane.Outcome {
	if p.old.Load() {
		if word, rest := token(r.Method); word == "" || rest != "" { // HTTP/2 lets it through
			return lane.Outcome{Unreadable: true, Err: errors.New("HTTP/1.1 has no such method")}
		}
		return p.text.Do(w, r, a)
	}
	return p.lanes.Do(w, r, a)
}

// close cuts every connection.
func (p *peer) close() {
	p.lanes.Close()
	p.text.Close()
}
