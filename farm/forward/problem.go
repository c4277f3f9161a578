package forward

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// Problem is an error that says how the request is to be answered.
type Problem struct {
	Status     int           // of the answer, 400 to 599; anything else means 500
	Detail     string        // a sentence for the visitor, who sees it; "" = the status in words alone
	RetryAfter time.Duration // when to try again, in whole seconds, rounded up; 0 = no word about it
	Err        error         // the cause, for logs; no visitor sees it; nil = none
}

// Error returns status, detail and cause.
func (p Problem) Error() string {
	s := strconv.Itoa(p.status())
	if says := cmp.Or(p.Detail, http.StatusText(p.status())); says != "" {
		s += " " + says
	}
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (p Problem) Unwrap() error { return p.Err }

func (p Problem) status() int {
	if p.Status < 400 || p.Status > 599 {
		return http.StatusInternalServerError
	}
	return p.Status
}

// The gate's own answers. What an application's errors are answered with is in the table of package farm.
var (
	problemStaging = Problem{Status: http.StatusServiceUnavailable,
		Detail: "This is a staging node. It serves no visitors."}
	problemConnect = Problem{Status: http.StatusNotImplemented,
		Detail: "CONNECT is not served here."}

	problemStarting = Problem{Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second,
		Detail: "This site is starting. Please try again in a moment."}
	problemNoPeer = Problem{Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second,
		Detail: "No server of this site can take the request. Please try again in a moment."}
	problemStopping = Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "The request was cut off because this node is stopping."}
	problemBusy = Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "This site has too much to do at the moment. Please try again."}

	problemBody = Problem{Status: http.StatusBadRequest,
		Detail: "The request's body cannot be read, or did not come in time."}
	problemUnreadable = Problem{Status: http.StatusBadRequest,
		Detail: "The request cannot be read as it was sent."}

	problemLost = Problem{Status: http.StatusBadGateway,
		Detail: "The connection to the node that served this request was lost. " +
			"It may or may not have been carried out."}
	problemLate = Problem{Status: http.StatusGatewayTimeout,
		Detail: "The request was not answered in time. It may or may not have been carried out."}
	problemLoop = Problem{Status: http.StatusLoopDetected,
		Detail: "The servers of this site sent the request in a circle."}
	problemPassing = Problem{Status: http.StatusBadGateway,
		Detail: "The request could not be passed on."}
)
