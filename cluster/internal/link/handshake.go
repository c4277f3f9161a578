package link

import (
	"context"
	"net"
)

// readAhead is more than a side of the handshake sends at once, so that one wait for the network is one Read.
const readAhead = 4 << 10

// Handshake is a connection on which a handshake is computed. Whenever that waits for the other end, its slot
// is at rest.
type Handshake struct {
	net.Conn
	ctx   context.Context
	slot  *Slot
	ahead []byte // read, and not yet taken
}

// Pace returns c as a connection for a handshake, which ctx bounds. Its slot may be given later, by Take,
// where it is not known yet: until then nothing is paced.
func Pace(ctx context.Context, c net.Conn) *Handshake { return &Handshake{Conn: c, ctx: ctx} }

// NetConn returns the connection beneath, as that of a tls.Conn does.
func (h *Handshake) NetConn() net.Conn { return h.Conn }

// Take gives the handshake its slot, and waits until it may be computed. Without one, nil, nothing is paced.
func (h *Handshake) Take(s *Slot) error {
	if s == nil {
		return nil
	}
	h.slot = s
	return s.Work(h.ctx)
}

// Over ends the handshake: from then on this is a connection like any other. Whoever used it for the
// handshake says so, before anybody else uses it.
func (h *Handshake) Over() {
	if h.slot != nil {
		h.slot.End()
		h.slot = nil
	}
}

// Read reads what has come. During a handshake it lets others compute meanwhile, and waits for its turn then.
func (h *Handshake) Read(p []byte) (int, error) {
	if len(h.ahead) > 0 {
		n := copy(p, h.ahead)
		if h.ahead = h.ahead[n:]; len(h.ahead) == 0 {
			h.ahead = nil
		}
		return n, nil
	}
	if h.slot == nil {
		return h.Conn.Read(p)
	}
	h.slot.Rest()
	b := make([]byte, readAhead)
	n, err := h.Conn.Read(b)
	if n == 0 {
		return 0, err
	}
	if err := h.slot.Work(h.ctx); err != nil {
		return 0, err
	}
	h.ahead = b[:n]
	return h.Read(p)
}
