package forward

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/route"
)

// Route says what may be done with the requests of one route of the application when the node that had one is
// lost, or fails. A request that certainly was not started may go to another node anyway, and so may a GET,
// HEAD, OPTIONS or TRACE that was; none of them once it has changed its session.
type Route struct {
	// Pattern names the requests, as a pattern of http.ServeMux does: "PUT /cart/{id}". Of several that
	// match, the most special one counts alone. A path that a ServeMux would redirect matches none.
	Pattern string

	// Idempotent says that to carry a request out twice is as good as once, so that one may be done again
	// whose outcome is not known. A request whose body is longer than 64 KiB, or of unknown length, is not
	// done again all the same: the body is not kept. Nor is one of more than 16 KiB while a node keeps 64 MiB
	// of them.
	Idempotent bool

	// Failover has a request tried on another node, once, if the handler of the node that took it from the
	// client panics, or answers with a status of 500 or more. It does so only with requests that may be done
	// twice. Such an answer is held back until then, up to 64 KiB of it.
	Failover bool

	// RetryOn holds the statuses, of 502, 503 and 504, after which a forwarded request is tried on another
	// node, if it may be done twice. If that leads to nothing better, the client gets the first answer.
	RetryOn []int

	// TryTimeout is how long a node may take to begin its answer to a forwarded request that may be done twice,
	// before it is given up and another node is asked. It is asked once, and what can be given to no other node
	// is waited for. The handler that is given up finds its request's context ended. 0 = three times what 99 of
	// a hundred of the route's answers take, but two seconds at least, and as long as it takes where that would
	// be more than 30 s or less than a hundred answers are known; negative = as long as it takes.
	TryTimeout time.Duration

	// Timeout is how much time there is for a request, whatever nodes it is given to. The context of the
	// request has that deadline, wherever its handler runs. Once it is over no other node is asked, and an
	// answer that another node has not begun a second later is not waited for: the client gets 504. 0 = the
	// deadline that the context has already, which is none where the application sets none in front of the
	// farm's handler.
	Timeout time.Duration

	// Strict keeps the route's requests from a node that has had no contact to a majority of the farm for ten
	// seconds: what it has may be older than what the others have by now, as a price of a release that it has
	// not heard of. Another node answers, or the client gets 503 with Retry-After. Requests of other routes are
	// answered as long as the node runs. What has begun before, as a stream of events, goes on.
	Strict bool
}

// routes are those of a Config, by pattern.
type routes = route.Table[retry.Route]

// newRoutes returns the table of what an application says of its routes.
func newRoutes(list []Route) (*routes, error) {
	var entries []route.Entry[retry.Route]
	for _, r := range list {
		for _, status := range r.RetryOn {
			if status < http.StatusBadGateway || status > http.StatusGatewayTimeout {
				return nil, fmt.Errorf("forward: Routes: %q: RetryOn %d is none of 502, 503 and 504", r.Pattern, status)
			}
		}
		if r.Timeout < 0 {
			return nil, fmt.Errorf("forward: Routes: %q: Timeout %v is negative", r.Pattern, r.Timeout)
		}
		entries = append(entries, route.Entry[retry.Route]{Pattern: r.Pattern, Value: retry.Route{
			Idempotent: r.Idempotent, Failover: r.Failover, RetryOn: slices.Clone(r.RetryOn),
			TryTimeout: r.TryTimeout, Tail: &retry.Tail{}, Timeout: r.Timeout, Strict: r.Strict}})
	}
	t, err := route.New(entries)
	if err != nil {
		return nil, fmt.Errorf("forward: Routes: %w", err)
	}
	return t, nil
}

// Strict reports whether a request is of a route that is marked so.
func (g *Gate) Strict(r *http.Request) bool {
	e, ok := g.routes.Match(r)
	return ok && e.Value.Strict
}
