package forward

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// run is what a Gate keeps of a request while its handler runs.
type run struct {
	movable  bool         // another node could have it
	body     *touchedBody // nil without a body
	declined atomic.Bool
	wrote    atomic.Bool  // the handler has announced a change
	mark     func() error // tells the node that took the request of that; nil = there is none to tell
}

// touchedBody notes whether anybody has read from a body.
type touchedBody struct {
	io.ReadCloser
	touched atomic.Bool
}

func (b *touchedBody) Read(p []byte) (int, error) {
	b.touched.Store(true)
	return b.ReadCloser.Read(p)
}

// watch has r's handler be watched: whether it reads the body of r, which is a copy.
func (r *run) watch(req *http.Request) {
	if req.Body != nil && req.Body != http.NoBody {
		r.body = &touchedBody{ReadCloser: req.Body}
		req.Body = r.body
	}
}

// untouched reports whether the handler has done nothing that could not be undone, as far as is known.
func (r *run) untouched() bool { return !r.wrote.Load() && (r.body == nil || !r.body.touched.Load()) }

// Decline says that the handler of r does not want the request: another node is to have it. It returns true
// if that is possible. The handler returns then, and does nothing more. With false the handler has to answer:
// there is no other node, the handler has read from the body or changed its session, the request is for a
// WebSocket or for events, or it came from a program of an older version.
//
// The other node gets the request as the client has sent it, but for what was changed until then in its Header. A
// request that every node declines is answered with 503.
func Decline(r *http.Request) bool {
	p := passOf(r.Context())
	if p == nil || !p.run.movable || !p.run.untouched() {
		return false
	}
	if !p.Forwarded() && !p.gate.hop.anyPeer() {
		return false
	}
	p.run.declined.Store(true)
	return true
}

// Mark says that the handler of the request to which ctx belongs is about to change something that must not
// be changed twice. It returns once the node that took the request from the client knows: from then on it
// gives the request to no other node if this one is lost. With an error, nothing must be changed. A farm
// calls it before each change of a session; a handler of a GET that changes something else should.
func Mark(ctx context.Context) error {
	p := passOf(ctx)
	if p == nil {
		return nil
	}
	p.run.wrote.Store(true)
	if p.run.mark == nil {
		return nil
	}
	return p.run.mark()
}
