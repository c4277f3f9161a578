package state

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Code is what came of a command.
type Code byte

// The codes. What each means for a command is said there.
const (
	OK Code = iota + 1
	Granted
	Queued
	Busy
	Finished
	Gone
	Lost
	Early
	Differs
	Full
	Malformed
	codes
)

// String returns the code's name.
func (c Code) String() string {
	names := [...]string{"none", "OK", "Granted", "Queued", "Busy", "Finished", "Gone", "Lost", "Early", "Differs",
		"Full", "Malformed"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Code(%d)", byte(c))
}

// Answer is what a command is answered with.
type Answer struct {
	Code   Code
	Fence  uint64 // of what was granted; of Suspect: the suspicion
	At     int64  // the tick that is to be run; ms since 1970
	Manual bool   // it is by an operator's word
	Now    int64  // ms since 1970 of the log's time
}

// maxAnswer is how long an answer is at most: a code, a flag, and three numbers.
const maxAnswer = 2 + 3*binary.MaxVarintLen64

func (a Answer) append(dst []byte) []byte {
	dst = appendUint(append(dst, byte(a.Code)), a.Fence)
	return appendMillis(appendBool(appendMillis(dst, a.At), a.Manual), a.Now)
}

// ErrAnswer says that an answer was not understood.
var ErrAnswer = errors.New("once: the answer to a command is not understood")

// DecodeAnswer reads what Machine.Apply returned.
func DecodeAnswer(b []byte) (Answer, error) {
	d := newDecoder(b)
	a := Answer{Code: Code(d.Below(byte(codes))), Fence: d.Uint(), At: d.millis(), Manual: d.Bool(),
		Now: d.millis()}
	if !d.Done() || a.Code == 0 {
		return Answer{}, ErrAnswer
	}
	return a, nil
}
