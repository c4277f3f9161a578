package swarm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// UnavailableError names a blob that no peer has, and whom Fetch has asked. It is ErrUnavailable.
type UnavailableError struct {
	Hash    blob.Hash
	Missing int     // blobs that are lacking, this one included
	Asked   []Asked // empty: no peer was present
}

// Asked is a peer and what it said.
type Asked struct {
	Peer string
	Said string
}

// Error implements error.
func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %v", ErrUnavailable, e.Hash)
	if e.Missing > 1 {
		fmt.Fprintf(&b, ", and %d others are lacking", e.Missing-1)
	}
	if len(e.Asked) == 0 {
		b.WriteString("; no peer is present")
	}
	for i, a := range e.Asked {
		if i == 8 {
			fmt.Fprintf(&b, "; and %d more were asked", len(e.Asked)-i)
			break
		}
		fmt.Fprintf(&b, "; %s %s", a.Peer, a.Said)
	}
	return b.String()
}

// Unwrap returns ErrUnavailable.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }

// verdict says whether it is time to give up.
func (j *job) verdict() error {
	switch p := &j.patience; {
	case p.failed != nil:
		return p.failed
	case j.streams > 0 || p.lasts():
		return nil
	case slices.ContainsFunc(j.slots.all, func(s *slot) bool { return s.asking && !s.heard }):
		return nil // so that what is said of nobody having it is what they have said: Stall bounds it
	case p.starved != nil:
		return fmt.Errorf("swarm: fetch: %w", descriptors.Explain(p.starved))
	}
	return j.unavailable()
}

// unavailable is about the first blob that is lacking.
func (j *job) unavailable() error {
	e := &UnavailableError{Missing: j.lacking.count()}
	for _, it := range j.lacking.items {
		if !it.done && (e.Hash.IsZero() || it.holders&^it.wrong == 0) {
			e.Hash, e.Asked = it.ref.Hash, j.answers(it)
			if it.holders&^it.wrong == 0 {
				break
			}
		}
	}
	return e
}

// answers returns what each peer has said of a blob.
func (j *job) answers(it *item) []Asked {
	var asked []Asked
	for _, s := range j.slots.all {
		said := "has not got it"
		switch {
		case it.wrong&s.bit != 0:
			said = "does not have the right bytes"
		case s.said != nil:
			said = "fails: " + s.said.Error()
		case it.holders&s.bit != 0:
			said = "has it, and does not send it"
		case s.askedDone < 0:
			said = "could not be asked"
		}
		if !s.present {
			said += " (and is gone)"
		}
		asked = append(asked, Asked{Peer: s.id, Said: said})
	}
	return asked
}
