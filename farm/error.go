package farm

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/once"
	"github.com/seed48eb2e21/webfarm/session"
)

// Problem is an error that says how the request is to be answered: its Status, and its Detail, a sentence for the visitor. A
// handler returns one where it knows better than Error does: for what a visitor typed, for what is not there.
type Problem = forward.Problem

// answers is the table of what a visitor is told about the errors of this module, and of the standard library, that a handler
// may come upon; the first line that fits counts. Of an error that fits none the visitor learns nothing: see unknown.
var answers = []struct {
	err    error
	answer Problem
}{
	{once.ErrHeld, Problem{Status: http.StatusConflict, RetryAfter: time.Second,
		Detail: "Somebody else is doing this just now. Please try again in a moment."}},
	{once.ErrLost, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This was interrupted, and it is not known how far it got. Please look before you try again."}},
	{once.ErrFull, Problem{Status: http.StatusServiceUnavailable, RetryAfter: 10 * time.Second,
		Detail: "This site has too much to do at the moment, and nothing was changed. Please try again later."}},
	{session.ErrLate, Problem{Status: http.StatusServiceUnavailable, // before what it may wrap: the change was made
		Detail: "The change was made, and may take a moment to be seen. Please look before you try again."}},
	{session.ErrFull, Problem{Status: http.StatusServiceUnavailable, RetryAfter: 10 * time.Second,
		Detail: "This site has no room for another visitor now. Please try again later."}},
	{session.ErrTooLarge, Problem{Status: http.StatusRequestEntityTooLarge,
		Detail: "This is more than the site can keep for a visitor."}},
	{session.ErrConflict, Problem{Status: http.StatusConflict, RetryAfter: time.Second,
		Detail: "Too many changes of the same thing were under way, and this one was not made. Please try again."}},
	{session.ErrEnded, Problem{Status: http.StatusGone,
		Detail: "Your session has ended, and the change was not made."}},
	{session.ErrUncertain, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "It is not known whether the change was made. Please look before you try again."}},
	{session.ErrNoLeader, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This site cannot make changes at the moment, and nothing was changed. Please try again."}},
	{session.ErrOverloaded, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This site has too much to do at the moment, and nothing was changed. Please try again."}},
	{cluster.ErrDiverged, Problem{Status: http.StatusServiceUnavailable, RetryAfter: 10 * time.Second,
		Detail: "This site cannot make changes at the moment, and nothing was changed. Please try again later."}},
	{session.ErrStale, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This site cannot find your session at the moment. Please try again."}},
	{keyring.ErrNotYet, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This site cannot check what was sent at the moment. Please try again."}},
	{keyring.ErrExpired, Problem{Status: http.StatusGone,
		Detail: "What was sent is too old. Please begin again."}},
	{keyring.ErrForged, Problem{Status: http.StatusBadRequest,
		Detail: "What was sent is not what this site has given out."}},
	{session.ErrClosed, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This server is stopping. Please try again."}},
	{ErrDraining, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This server is stopping. Please try again."}},
	{context.DeadlineExceeded, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This took too long. Please try again."}},
	{os.ErrDeadlineExceeded, Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This took too long. Please try again."}},
}

var (
	unknown = Problem{Status: http.StatusInternalServerError, Detail: "Something went wrong on this site."}
	tooLong = Problem{Status: http.StatusRequestEntityTooLarge, Detail: "This is more than the site takes in one request."}
	badForm = Problem{Status: http.StatusBadRequest, Detail: "Something is missing in what was sent, or it is no form."}
	cutOff  = Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "The request was cut off. Please try again."}
)

// formErrors are what net/http says of a form that is not what the handler asks for.
var formErrors = []error{http.ErrMissingFile, http.ErrNotMultipart, http.ErrMissingBoundary}

// problemIn returns the Problem that err is or wraps, by value or by pointer.
func problemIn(err error) (Problem, bool) {
	if to, ok := errors.AsType[*Problem](err); ok {
		return *to, true
	}
	return errors.AsType[Problem](err)
}

// answerTo returns what to tell the visitor about err, and whether an operator should hear of it.
func answerTo(ctx context.Context, err error) (p Problem, serious bool) {
	if to, ok := errors.AsType[*Problem](err); ok && to == nil {
		return unknown, true // not looked into any further: its methods would panic
	}
	if p, ok := problemIn(err); ok {
		return p, p.Err != nil && (p.Status < 400 || p.Status >= 500)
	}
	for _, row := range answers {
		if errors.Is(err, row.err) {
			return row.answer, false
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLong, false
	}
	for _, wrong := range formErrors {
		if errors.Is(err, wrong) {
			return badForm, false
		}
	}
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return cutOff, false // most often the client is gone, and nobody reads this
	}
	return unknown, true
}

// Error answers a request that a handler cannot carry out because of err. The client gets a page with the status, Retry-After
// where trying again may help, the request's id, and a sentence: as HTML, JSON (RFC 9457) or text, by what it accepts. A nil
// err does nothing.
//
//	a Problem                                          what it says
//	session.ErrTooLarge, http.MaxBytesError            413
//	http.ErrMissingFile, ErrNotMultipart,
//	ErrMissingBoundary                                 400
//	session.ErrConflict, once.ErrHeld                  409
//	session.ErrEnded, keyring.ErrExpired               410
//	keyring.ErrForged                                  400
//	session.ErrFull, keyring.ErrNotYet,
//	once.ErrLost, once.ErrFull,
//	session.ErrUncertain, ErrNoLeader,
//	ErrOverloaded, ErrStale, ErrClosed; cluster's of the same names;
//	cluster.ErrDiverged;
//	a deadline that has passed; a request cut off      503 with Retry-After
//	session.ErrLate                                    503, and no word of trying again
//	any other                                          500
//
// What any other error says is not for visitors: it goes to the log, once, with the request's id. So does the cause of a
// Problem whose status is 500 or more.
//
// If the response has begun there is no room for another status, and what was sent is no whole answer. Then Error logs
// err, unless the client has gone, and breaks the connection off, so that no client takes a part for the whole: nothing
// more can be written, and it panics with http.ErrAbortHandler, which net/http has for this. It learns from the
// ResponseWriter that the response has begun, through those of middleware that have an Unwrap method as
// http.ResponseController wants it.
//
// Changes of the session that were made before are committed as with any other answer.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	ctx := r.Context()
	noteFailure(ctx, err)
	log := forward.Logger(ctx).With("method", r.Method, "path", r.URL.Path, "err", err)
	if begun(w) {
		if ctx.Err() == nil { // else the client has gone, which is most often what err is about
			log.Error("request failed in the middle of its answer")
		}
		breakOff(w)
	}
	p, serious := answerTo(ctx, err)
	if serious {
		log.Error("request failed")
	} else {
		log.Debug("request failed", "status", p.Status)
	}
	forward.ServeProblem(w, r, p)
}

// breakOff ends the connection of a response that is not whole. A middleware further out may recover from the panic, and the
// response would end as if it were whole; so nothing can be written from here on. Where the writer knows no deadlines the panic
// has to do.
func breakOff(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
	panic(http.ErrAbortHandler)
}

// begun reports whether the response has begun, as far as the sessions' ResponseWriter can be found beneath w.
func begun(w http.ResponseWriter) bool {
	for {
		switch x := w.(type) {
		case interface{ Begun() bool }:
			return x.Begun()
		case interface{ Unwrap() http.ResponseWriter }:
			w = x.Unwrap()
		default:
			return false
		}
	}
}

// HandlerFunc makes an http.HandlerFunc of a function that may fail. What it returns is answered by Error; a function that
// returns an error has not written to w, or wants what it wrote cut off.
func HandlerFunc(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { Error(w, r, h(w, r)) }
}

// Draining returns a channel that is closed when the handler is to end because its node drains: before it
// stops, before it leaves, or because an operator wants it empty. ctx is the request's context. A handler
// that sends without end says goodbye then, so that its client comes back soon, to another node; what still
// runs at the end of the drain is cut off. Events does all of this.
//
// A handler that asks for the channel is one that lasts. Where there are many, they are told one by one,
// within Config.Forward.CloseSpread, so that their clients do not all come to the other nodes at once.
//
// Where a request was forwarded, the node that took it from the client may drain as well; that closes
// nothing here: that node ends WebSockets, and answers to an EventSource, by itself. The channel is never
// nil. For a request that did not come through Handler or Serve it is never closed.
func Draining(ctx context.Context) <-chan struct{} { return forward.Draining(ctx) }
