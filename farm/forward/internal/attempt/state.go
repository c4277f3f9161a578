// Package attempt names how far an attempt to have a request served by one peer has come. Those who make
// attempts report it, and the rules for retries depend on it.
package attempt

import "fmt"

// State is how far an attempt has come.
type State uint8

const (
	// NotSent: the peer cannot have the request: it was not reached, or nothing whole was sent to it.
	NotSent State = iota
	// Sent: it was sent, and nothing was heard of it.
	Sent
	// Refused: the peer says that it has not started the request, and will not.
	Refused
	// Started: its handler may have begun.
	Started
	// Answered: the head of the handler's answer is here, and the client has seen nothing of it.
	Answered
	// Committed: the client has seen something of a final answer, or its connection was taken over.
	Committed
)

// Undone reports whether the request was certainly not started.
func (s State) Undone() bool { return s == NotSent || s == Refused }

// String returns the state in words, for logs.
func (s State) String() string {
	names := [...]string{"not sent", "sent", "refused", "started", "answered", "committed"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}
