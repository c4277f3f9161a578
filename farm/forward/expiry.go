package forward

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// within returns the context of a client's request, with the deadline that its route sets.
func (g *Gate) within(r *http.Request) (context.Context, context.CancelFunc) {
	if e, ok := g.routes.Match(r); ok && e.Value.Timeout > 0 {
		return context.WithTimeout(r.Context(), e.Value.Timeout)
	}
	return r.Context(), func() {}
}

// expired reports whether the time of the request is over to which ctx belongs.
func expired(ctx context.Context) bool {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return true
	}
	end, ok := ctx.Deadline() // its timer may be late
	return ok && ctx.Err() == nil && !time.Now().Before(end)
}
