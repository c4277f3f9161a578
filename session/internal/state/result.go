package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Status is the first word of every answer.
type Status uint8

// What a command can come to. Zero is none of them.
const (
	OK        Status = iota + 1
	Ended            // the session does not exist (any more)
	Conflict         // CAS only: the value changed; the answer holds the present one
	TooLarge         // a limit; nothing was changed
	Exists           // Create only
	Malformed        // not a command this machine's Append methods would write; nothing was changed
	Full             // Limits.Total or Limits.Sessions, once they were set by a ChangeLimits; nothing was changed
)

// String returns the name of the status.
func (s Status) String() string {
	names := [...]string{"none", "ok", "ended", "conflict", "too large", "exists", "malformed", "full"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Result is the answer to a command. Which fields mean something is said at each command.
type Result struct {
	Status  Status
	Found   bool
	More    bool
	Count   int
	Version uint64
	Value   []byte // for DecodeResult: a part of the answer, not a copy
}

const (
	flagFound = 1 << iota
	flagMore
)

var errAnswer = errors.New("session state: malformed answer")

// Append appends the encoded answer to dst.
func (r Result) Append(dst []byte) []byte {
	var flags byte
	if r.Found {
		flags |= flagFound
	}
	if r.More {
		flags |= flagMore
	}
	dst = append(dst, byte(r.Status), flags)
	dst = binary.AppendUvarint(dst, uint64(r.Count))
	dst = binary.AppendUvarint(dst, r.Version)
	return append(dst, r.Value...)
}

// DecodeResult reads an answer of Machine.Apply. An error means that b is no such answer.
func DecodeResult(b []byte) (Result, error) {
	d := newDecoder(b)
	status, flags, count, version := Status(d.Byte()), d.Byte(), d.Uint(), d.Uint()
	if d.Bad() || status < OK || status > Full || flags > flagFound|flagMore || count > math.MaxInt32 {
		return Result{}, errAnswer
	}
	r := Result{Status: status, Found: flags&flagFound != 0, More: flags&flagMore != 0, Count: int(count), Version: version}
	if len(d.Rest()) > 0 || r.Found {
		r.Value = d.Rest()
	}
	return r, nil
}
