package forward

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
	"github.com/seed48eb2e21/webfarm/farm/forward/internal/retry"
	"github.com/seed48eb2e21/webfarm/internal/linger"
)

// forward sends a public request to a peer, and answers in its place when there is none.
func (g *Gate) forward(w http.ResponseWriter, r *http.Request) {
	up := g.bodies.Upload(r)
	defer up.Release()
	d := g.newDispatch(w, r, up)
	g.finish(d, g.hop.send(d))
}

// finish gives the client what its request came to, if it has not got that.
func (g *Gate) finish(d *dispatch, v retry.Verdict) {
	out := d.last
	if v.Do == retry.Deliver && out.Err == nil {
		if n := d.a.Facts.Attempt; n > 1 {
			g.cfg.Logger.Debug("request answered by a later peer", "request", d.a.Facts.ID, "attempts", n,
				"status", out.Status, "tried", trail{d})
		}
		return
	}
	g.tellFailure(d)
	switch {
	case v.Do == retry.DeliverKept:
		d.kept.release()
	case v.Do == retry.Abort, out.State == attempt.Committed, out.Aborted, out.Panicked:
		panic(http.ErrAbortHandler) // a cut answer must not look whole
	default:
		leaveBody(d.w, d.r, d.a.Upload, false)
		d.w.Header().Set(idHeader, d.a.Facts.ID)
		g.answerFailure(d, v)
	}
}

// tellFailure writes to the log what became of a request that a peer has not answered. That a node was lost
// with it is news: the id on the visitor's page leads to this line.
func (g *Gate) tellFailure(d *dispatch) {
	out, level := d.last, slog.LevelDebug
	lost := out.State == attempt.Sent || out.State == attempt.Started || out.State == attempt.Committed
	if lost && !out.GaveUp && !out.BodyFailed && !out.Aborted && g.lost.now() {
		level = slog.LevelWarn
	}
	peer := ""
	if d.at != nil {
		peer = d.at.name
	}
	g.cfg.Logger.Log(d.r.Context(), level, "request not answered by the node that had it",
		"request", d.a.Facts.ID, "peer", peer, "method", d.r.Method, "path", d.r.URL.Path,
		"attempts", d.a.Facts.Attempt, "state", out.State, "tried", trail{d}, "err", out.Err)
}

// trail says in the log which nodes have had a request, and how far each attempt came: "N2 refused, N3 started".
// Of a request that was held it is those since the last look at the peers.
type trail struct{ d *dispatch }

// LogValue is called where the line is written.
func (t trail) LogValue() slog.Value {
	var b strings.Builder
	for i, p := range t.d.tried {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Of().(*peer).name + " " + t.d.came[i].String())
	}
	return slog.StringValue(b.String())
}

// seldom is true at most once in a second.
type seldom struct{ next atomic.Int64 }

func (s *seldom) now() bool {
	t, next := time.Now().UnixNano(), s.next.Load()
	return t >= next && s.next.CompareAndSwap(next, t+int64(time.Second))
}

// leaveBody is called before the header of an answer. If a part of the upload is still to come, the answer
// does not wait for it, and the connection ends behind it.
func leaveBody(w http.ResponseWriter, r *http.Request, up *lane.Upload, duplex bool) {
	switch {
	case r.ProtoMajor != 1 || duplex:
	case up.Unfinished():
		http.NewResponseController(w).EnableFullDuplex() // optional
		linger.Close(w)
	case !up.Kept() && up.Whole():
		leaveUnread(w, r)
	}
}

// leaveUnread is called before the header of an answer to a request whose body nobody has begun to read. Most
// such bodies are left to net/http, which reads them, or waits for a moment before it closes the connection.
// Where it would close without waiting, and the client lose the answer by a reset, it is made to wait.
func leaveUnread(w http.ResponseWriter, r *http.Request) {
	closes := r.Close || len(r.Header["Expect"]) > 0
	if closes && r.ProtoMajor == 1 && r.ContentLength != 0 && len(r.Header["Upgrade"]) == 0 {
		linger.Close(w)
	}
}

// answerFailure answers a request for which no peer's answer came.
func (g *Gate) answerFailure(d *dispatch, v retry.Verdict) {
	undone := v.Status == http.StatusServiceUnavailable
	declined := passOf(d.r.Context()).run.declined.Load()
	if undone && !d.last.BodyFailed && g.able.Load() && g.cfg.Role == cluster.Ordinary && !declined {
		restore(d.r, d.a.Upload) // a short body was read already
		g.serveLocal(d.w, d.r)   // better by a node that is stopping than by none
		return
	}
	ServeProblem(d.w, d.r, g.problemOf(d, v))
}

// problemOf says why a request has no answer of a peer.
func (g *Gate) problemOf(d *dispatch, v retry.Verdict) Problem {
	out := d.last
	switch {
	case out.BodyFailed:
		return problemBody
	case v.Status == http.StatusServiceUnavailable && !g.able.Load() && g.why.Load() == nil:
		return problemStarting
	case v.Status == http.StatusServiceUnavailable:
		return problemNoPeer
	case v.Status == http.StatusGatewayTimeout:
		return problemLate
	case out.State == attempt.NotSent && (out.GaveUp || d.r.Context().Err() != nil):
		return problemStopping // most often the client is gone, and nobody reads this
	case out.State == attempt.Refused && out.GaveUp:
		return problemStopping
	case out.Unreadable:
		return problemUnreadable
	case v.Status == http.StatusLoopDetected:
		return problemLoop
	case !out.State.Undone(), v.Status == http.StatusBadGateway:
		return problemLost
	}
	return problemPassing
}
