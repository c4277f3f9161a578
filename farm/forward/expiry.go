package forward

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// timeout returns how much time the route of a client's request gives it; 0 = it does not say.
func (g *Gate) timeout(r *http.Request) time.Duration {
	if e, ok := g.routes.Match(r); ok {
		return e.Value.Timeout
	}
	return 0
}

// expired reports whether the time of the request is over to which ctx belongs.
func expired(ctx context.Context) bool {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return true
	}
	end, ok := ctx.Deadline() // its timer may be late
	return ok && ctx.Err() == nil && !time.Now().Before(end)
}
