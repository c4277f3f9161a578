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
		if err := sayable(r); err != nil {
			return lane.Outcome{Unreadable: true, Err: err}
		}
		return p.text.Do(w, r, a)
	}
	return p.lanes.Do(w, r, a)
}

// sayable returns nil if a request can be sent as HTTP/1.1, as older programs take it. net/http lets more through: any
// method by HTTP/2, and trailers that are announced by any name.
func sayable(r *http.Request) error {
	if !isWord(r.Method) {
		return errors.New("HTTP/1.1 has no such method")
	}
	for name := range r.Trailer {
		if !isWord(name) {
			return errors.New("HTTP/1.1 has no trailer of such a name")
		}
	}
	return nil
}

// isWord reports whether s is a token of HTTP.
func isWord(s string) bool {
	word, rest := token(s)
	return word != "" && rest == ""
}

// close cuts every connection.
func (p *peer) close() {
	p.lanes.Close()
	p.text.Close()
}
