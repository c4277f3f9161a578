package retry

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// MaxAttempts is how many peers one request is given to, one after the other. A handler of this node counts
// as one.
const MaxAttempts = 3

// End is what an attempt has ended with, or what makes somebody ask about it.
type End uint8

const (
	// Lost: the peer could not be reached, or its connection or the peer itself was lost.
	Lost End = iota
	// Failed: the peer says that the handler has begun and will not answer; it panicked. With Case.Own, the
	// handler panicked, or has answered with a status of 500 or more that nobody has seen yet.
	Failed
	// Denied: the peer refused the request. With Case.Own, the handler declined it.
	Denied
	// Loop: the peer refused the request because it has been there already.
	Loop
	// Slow: the time for this attempt is over, and there is time left for the request.
	Slow
	// Late: the time for the request is over.
	Late
	// Gone: the client has gone.
	Gone
	// Replied: the head of the answer came. Case.Status is its status.
	Replied
)

// Body is what this node has of the request's body.
type Body uint8

const (
	NoBody Body = iota // there is none
	Whole              // it is unread, or all that was read is kept
	Parted             // a part was sent and is not kept
)

// Case is all that a decision depends on.
type Case struct {
	State attempt.State
	End   End
	// Status is that of the answer, if End is Replied.
	Status int
	// Own says that the attempt was a handler of this node.
	Own bool

	Method string
	Body   Body
	// Upgrade says that the client asks for another protocol on its connection.
	Upgrade bool
	// Wrote says that the request proposed a write, of its session for example, in this attempt or in an
	// earlier one.
	Wrote bool
	Route Route

	// Attempts is how many were made, this one included.
	Attempts int
	// Moves is how many retries there were after NotSent or Refused.
	Moves int
	// Repeats is how many retries there were after Sent or Started.
	Repeats int
	// Unknown says that an earlier attempt may have been carried out.
	Unknown bool
	// Kept says that the answer of an earlier attempt is kept, to be delivered if nothing better comes.
	Kept bool

	// Others says that there is a peer that has not been tried.
	Others bool
	// Credit says that the Budget has something left.
	Credit bool
	// Suspect says that such a request has brought down another peer lately. See Suspects.
	Suspect bool
}

// Route is what the application says of the requests of a route.
type Route struct {
	// Idempotent: to do it twice is as good as once.
	Idempotent bool
	// Failover: a handler of this node that panics or fails is a reason to ask a peer.
	Failover bool
	// RetryOn holds the statuses after which another peer is asked.
	RetryOn []int
	// TryTimeout is how long a peer may take to begin its answer before another is asked; 0 = as Tail says,
	// negative = any time.
	TryTimeout time.Duration
	// Tail is how long the peers take; nil = that is not known.
	Tail *Tail
	// Timeout is how much time there is for a request in all; 0 = no limit but its own.
	Timeout time.Duration
	// Strict: a node without contact to a majority answers none. It decides nothing here.
	Strict bool
}

// Action is what to do.
type Action uint8

const (
	// Fail: answer with Verdict.Status.
	Fail Action = iota
	// Retry: give the request to another peer.
	Retry
	// Deliver: pass on what this attempt came to: its answer. With Case.Own, the handler's answer or panic.
	Deliver
	// DeliverKept: pass on the answer of the earlier attempt.
	DeliverKept
	// Wait: leave the attempt alone.
	Wait
	// Abort: cut the client's connection, so that nobody takes a part for the whole.
	Abort
	// Cancel: give the attempt up. There is nobody to answer.
	Cancel
)

// Verdict is what Decide says.
type Verdict struct {
	Do Action
	// Status is the status of a Fail: 502, 503, 504 or 508. 503 says that the request was certainly not
	// carried out.
	Status int
	// Pays says that the Retry takes something from the Budget.
	Pays bool
	// Pause says that the Retry waits first, as Backoff says.
	Pause bool
}

// Decide says what becomes of a request.
func Decide(c Case) Verdict {
	switch {
	case c.End == Gone:
		return Verdict{Do: Cancel}
	case c.State == attempt.Committed:
		return Verdict{Do: Abort}
	}
	possible := c.End != Late && c.Others && c.Attempts < MaxAttempts
	if v, ok := another(c); ok && possible && (c.Credit || !v.Pays) {
		return v
	}
	return end(c)
}

// another says how the request is given to another peer, if the attempt allows that.
func another(c Case) (v Verdict, ok bool) {
	if c.Body == Parted || c.Wrote {
		return v, false
	}
	switch c.State {
	case attempt.NotSent, attempt.Refused:
		return Verdict{Do: Retry, Pays: c.Moves > 0}, true
	case attempt.Sent, attempt.Started:
		ok = c.ReplaySafe() && c.Repeats == 0 && !c.Suspect && (!c.Own || c.Route.Failover)
	default:
		ok = c.End == Replied && !c.Own && slices.Contains(c.Route.RetryOn, c.Status) && c.ReplaySafe()
	}
	return Verdict{Do: Retry, Pays: true, Pause: true}, ok
}

// ReplaySafe reports whether to do the request twice is as good as once, as long as it has not proposed a
// write.
func (c Case) ReplaySafe() bool {
	switch {
	case c.Upgrade:
		return false
	case c.Route.Idempotent:
		return true
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// end says what becomes of a request that no other peer gets.
func end(c Case) Verdict {
	bad := c.End == Replied && slices.Contains(c.Route.RetryOn, c.Status)
	switch {
	case c.End == Slow:
		return Verdict{Do: Wait}
	case c.End == Replied && !(bad && c.Kept):
		return Verdict{Do: Deliver}
	case c.Own && c.End == Failed:
		return Verdict{Do: Deliver}
	case c.Kept:
		return Verdict{Do: DeliverKept}
	case c.End == Late:
		return Verdict{Do: Fail, Status: http.StatusGatewayTimeout}
	case c.Unknown, c.Wrote, c.State == attempt.Sent, c.State == attempt.Started, c.State == attempt.Answered:
		return Verdict{Do: Fail, Status: http.StatusBadGateway}
	case c.End == Loop:
		return Verdict{Do: Fail, Status: http.StatusLoopDetected}
	}
	return Verdict{Do: Fail, Status: http.StatusServiceUnavailable}
}
