package lane

// State is how far an attempt at one peer came. What may be done next depends on it.
type State int

const (
	Unsent    State = iota // S0: the peer cannot have the request: it was not reached, or the request was not sent whole
	Sent                   // S1: it was sent, and nothing was heard
	Refused                // S2: the peer says that it has not started the request and will not
	Started                // S3: the peer has started it
	Answered               // S4: the final header of an answer has come
	Committed              // S5: the client has got the first of a final answer, or its connection was taken over
)

func (s State) String() string {
	return [...]string{"not sent", "sent", "refused", "started", "answered", "committed"}[s]
}

// Outcome is what became of an attempt.
type Outcome struct {
	State State

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

// Done reports whether the exchange came to its end: an answer was delivered whole.
func (o Outcome) Done() bool { return o.Err == nil }
