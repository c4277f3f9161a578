package forward

import (
	"errors"
	"net/http"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/internal/linger"
)

// forward sends a public request to a peer, and answers in its place when there is none.
func (g *Gate) forward(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		ServeProblem(w, r, problemConnect)
		return
	}
	info := FromContext(r.Context())
	last := w.Header().Get("Connection") == "close" // on the client's connection
	delete(w.Header(), idHeader)                    // the peer's answer has it, unless the handler removes it
	up := lane.NewUpload(r)
	out, err := g.hop.send(w, r, &lane.Attempt{
		Facts:  &lane.Facts{Origin: g.cfg.ID, Via: g.cfg.Node, ID: info.ID, Scheme: info.Scheme},
		Upload: up,
		BeforeHeader: func(status int, duplex bool) {
			leaveBody(w, r, up, duplex)
			if last && status != http.StatusSwitchingProtocols {
				w.Header().Set("Connection", "close") // whatever the handler says
			}
		},
	})
	if err == nil {
		return
	}
	g.cfg.Logger.Debug("request not forwarded", "request", info.ID, "state", out.State, "err", err)
	if out.State == lane.Committed || out.Aborted || out.Panicked {
		panic(http.ErrAbortHandler) // a cut answer must not look whole
	}
	leaveBody(w, r, up, false)
	g.answerFailure(w, r, up, out, err)
}

// leaveBody is called before the header of the answer, which may come before the end of an upload: the answer must not wait
// for that, and net/http would. What is left of the body spoils the connection for another request. A body that no peer has
// begun to read is different: net/http does with it what it does where a handler has not.
func leaveBody(w http.ResponseWriter, r *http.Request, up *lane.Upload, duplex bool) {
	if r.ProtoMajor != 1 || duplex || !up.UnderWay() {
		return
	}
	http.NewResponseController(w).EnableFullDuplex() // optional
	linger.Close(w)
}

// answerFailure answers a request for which no peer's answer came.
func (g *Gate) answerFailure(w http.ResponseWriter, r *http.Request, up *lane.Upload, out lane.Outcome, err error) {
	switch {
	case errors.Is(err, errNoPeer) && g.able.Load() && g.cfg.Role == cluster.Ordinary:
		if body := up.Reader(); body != nil && up.Inline() { // it was read already
			r.Body = body
		}
		g.serveLocal(w, r) // better by a node that is stopping than by none
	case errors.Is(err, errNoPeer) && !g.able.Load():
		ServeProblem(w, r, problemStarting)
	case errors.Is(err, errNoPeer):
		ServeProblem(w, r, problemNoPeer)
	case out.BodyFailed:
		ServeProblem(w, r, problemBody)
	case out.GaveUp || r.Context().Err() != nil: // most often the client is gone, and nobody reads this
		ServeProblem(w, r, problemStopping)
	case out.Unreadable:
		ServeProblem(w, r, problemUnreadable)
	case out.State == lane.Sent || out.State == lane.Started || out.State == lane.Answered:
		ServeProblem(w, r, problemLost)
	default:
		ServeProblem(w, r, problemPassing)
	}
}
