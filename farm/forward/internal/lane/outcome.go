package lane

import (
	"encoding/binary"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

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

// Load is how busy a peer was when it answered.
type Load struct {
	Running uint32 // requests whose handlers ran
	Limit   uint32 // how many may; 0 = no limit
}

func (l Load) put(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(l.Running))
	return binary.AppendUvarint(b, uint64(l.Limit))
}

func (d *decoder) load() Load {
	return Load{Running: uint32(d.uvarint()), Limit: uint32(d.uvarint())}
}

// Refusal says why a request was not started.
type Refusal struct {
	Reason     string        // a few words, for logs
	RetryAfter time.Duration // when it may be taken; 0 = unknown
	Busy       bool          // the peer has too much to do; it is neither stopping nor unfit
}

func (r Refusal) put(b []byte) []byte {
	b = putString(b, r.Reason)
	b = putVarint(b, int64(r.RetryAfter))
	return putBool(b, r.Busy)
}

func (d *decoder) refusal() Refusal {
	return Refusal{Reason: d.string(), RetryAfter: time.Duration(d.varint()), Busy: d.bool()}
}
