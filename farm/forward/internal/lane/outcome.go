package lane

import "github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"

// Outcome is what became of an attempt.
type Outcome struct {
	State attempt.State

	// Err is why the exchange did not come to its end; nil if it did. Whose fault it is, is told by the other
	// fields: with none of them it is the peer or the way to it that failed.
	Err error

	Status  int     // of the answer; 0 = none
	Refusal Refusal // with Refused, unless the peer merely does not know of the request
	Load    Load    // of the peer, if HasLoad
	HasLoad bool

	Aborted    bool // the handler asked for the connection to be cut (http.ErrAbortHandler)
	Panicked   bool // the handler panicked; the peer's log has more
	Unreadable bool // the request cannot be passed on, or the peer could not read it; no sign that it is ill
	GaveUp     bool // this side gave the request up: its client has gone, or its time was over
	BodyFailed bool // the client's own body broke off
	Marked     bool // the handler has changed something: see Writer.Mark
}
