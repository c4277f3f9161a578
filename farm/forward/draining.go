package forward

import (
	"context"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
)

// Draining returns a channel that is closed when the handler of the request to which ctx belongs is to end,
// because the node that runs it drains, or is closed without a drain, or because the node drains that took the
// request from its client and has forwarded it. Handlers that ask for it count as
// streams: the moments at which they are told so are spread over Config.CloseSpread. After the handler has
// returned, it is closed when the drain begins. It is never nil; outside of a Gate it is never closed.
func Draining(ctx context.Context) <-chan struct{} {
	p := passOf(ctx)
	if p == nil {
		return make(chan struct{})
	}
	if st := p.asStream(); st != nil {
		return st.ctx.Done()
	}
	return p.gate.drainBegun()
}

// AfterDraining calls f on a goroutine of its own when Draining is closed, unless stop comes first; see
// context.AfterFunc.
func AfterDraining(ctx context.Context, f func()) (stop func() bool) {
	if p := passOf(ctx); p != nil {
		if st := p.asStream(); st != nil {
			return context.AfterFunc(st.ctx, f)
		}
	}
	return func() bool { return true }
}

// AtReturn calls f when the handler of the request to which ctx belongs has returned, before the answer is
// ended. Outside of a Gate, and after the handler has returned, it does nothing.
func AtReturn(ctx context.Context, f func()) {
	p := passOf(ctx)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if p.ends == nil {
		p.ends = new([]func())
	}
	*p.ends = append(*p.ends, f)
}

// asStream returns the request as a stream, which it is from now on; nil after its handler has returned.
func (p *pass) asStream() *stream {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return nil
	}
	first := p.stream == nil
	if first {
		p.stream = p.gate.streams.enter()
		p.slot.Stream()
	}
	st, to := p.stream, p.to
	p.mu.Unlock()
	if first && to != nil {
		context.AfterFunc(st.ctx, to.Leave)
	}
	if first && p.from != nil { // the node that took the request may drain before this one
		p.from.Lasts(p.asks, func() { p.gate.streams.dismiss(st) })
	}
	return st
}

// passedOn notes by what a peer is given the request.
func (p *pass) passedOn(to *lane.Attempt) {
	p.mu.Lock()
	p.to = to
	st := p.stream
	p.mu.Unlock()
	if st != nil {
		context.AfterFunc(st.ctx, to.Leave)
	}
}
