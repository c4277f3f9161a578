package state

import (
	"encoding/binary"
	"time"
)

const queryFetch byte = 1

// Fetch asks a machine, by Query, for one session: how a node that lags behind asks the leader.
type Fetch struct{ Key Key }

// Append appends the encoded query to dst.
func (q Fetch) Append(dst []byte) []byte {
	return append(append(dst, queryFetch), q.Key[:]...)
}

// Fetched is the answer to a Fetch.
type Fetched struct {
	Applied uint64    // log index of the machine that answered
	Now     time.Time // its log time
	Found   bool      // Record is the session
	Ended   bool      // there is none, and that is final; see Machine.Ended
	Record  Record    // its bytes are a part of the answer that was decoded
}

const (
	fetchedMissing byte = iota + 1
	fetchedEnded
	fetchedFound
)

// Append appends the encoded answer to dst.
func (f Fetched) Append(dst []byte) []byte {
	switch {
	case f.Found:
		dst = append(dst, fetchedFound)
	case f.Ended:
		dst = append(dst, fetchedEnded)
	default:
		dst = append(dst, fetchedMissing)
	}
	dst = binary.AppendUvarint(dst, f.Applied)
	dst = binary.AppendUvarint(dst, uint64(max(0, f.Now.UnixMilli())))
	if f.Found {
		dst = f.Record.session().append(dst)
	}
	return dst
}

// DecodeFetched reads an answer of Machine.Query to a Fetch. An error means that b is no such answer.
func DecodeFetched(b []byte) (Fetched, error) {
	d := newDecoder(b)
	kind := d.Byte()
	f := Fetched{Applied: d.Uint(), Now: fromMillis(d.millis()), Found: kind == fetchedFound, Ended: kind == fetchedEnded}
	if f.Found {
		f.Record = d.session().record()
	}
	if !d.Done() || kind < fetchedMissing || kind > fetchedFound {
		return Fetched{}, errAnswer
	}
	return f, nil
}
