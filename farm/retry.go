package farm

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/session"
)

// Route says what may be done with the requests of one route when the node that had one is lost or fails: see
// Config.Routes.
type Route = forward.Route

// Decline says that the handler of r does not want the request: another node is to have it. Nothing of it was
// done yet. It returns true if that is possible; then the handler returns at once. With false the handler has
// to answer: it has begun to, or has read from the body or changed the session, there is no other node, the
// request asks for a WebSocket or for events, or it came from a node with a program of an older version.
//
// A request that was declined has not been started, so it may go to another node whatever its method. If all
// nodes decline it, the client gets 503.
func Decline(w http.ResponseWriter, r *http.Request) bool { return !begun(w) && forward.Decline(r) }

// Mark says that the handler of the request to which ctx belongs is about to change something that must not
// be changed twice. From then on the request is not tried again if its node is lost, whatever its method and
// route. With an error nothing must be changed: nobody waits for the request any more. Changes of the session
// are marked by themselves; a handler of a GET that changes something else calls it before.
func Mark(ctx context.Context) error { return forward.Mark(ctx) }

// marking is a session.Store that marks requests before they change a session.
type marking struct{ session.Store }

// Do marks the request to which ctx belongs, unless nothing is lost if cmd is done twice.
func (s marking) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	switch cmd.(type) {
	case session.Touch, session.Tick:
		return s.Store.Do(ctx, cmd)
	}
	if err := forward.Mark(ctx); err != nil {
		return session.Answer{}, fmt.Errorf("%w: the node that took the request is lost: %w", session.ErrNoLeader, err)
	}
	return s.Store.Do(ctx, cmd)
}
