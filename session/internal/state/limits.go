package state

import (
	"encoding/binary"
	"math"
)

// Limits bound what sessions may hold. They are part of the replicated state, because a node that judged by limits of
// its own would drift from the others. Lower limits leave what exists alone; they bind the next change.
type Limits struct {
	Value    int // bytes of one value
	Name     int // bytes of one name
	Keys     int // values in one session
	Session  int // bytes of all names and values of one session
	Sessions int // sessions in all, those past their deadline but not yet collected included
}

// DefaultLimits returns the limits of a new machine.
func DefaultLimits() Limits {
	return Limits{Value: 16 << 10, Name: 64, Keys: 64, Session: 64 << 10, Sessions: 1 << 20}
}

// maxLimits is as far as SetLimits goes. It also bounds what Restore and DecodeFetched accept.
var maxLimits = Limits{Value: 1 << 20, Name: 255, Keys: 4096, Session: 2 << 20, Sessions: 1 << 30}

func (l Limits) valid() bool {
	within := func(v, limit int) bool { return v >= 1 && v <= limit }
	return within(l.Value, maxLimits.Value) && within(l.Name, maxLimits.Name) && within(l.Keys, maxLimits.Keys) &&
		within(l.Session, maxLimits.Session) && within(l.Sessions, maxLimits.Sessions)
}

// SetLimits replaces the limits for all sessions from here on in the log.
//
// Answers: OK; Malformed if a limit is below 1 or above what the format allows (values of 1 MiB, names of 255 bytes,
// 4,096 keys, sessions of 2 MiB, 2^30 sessions).
type SetLimits struct{ Limits Limits }

// Append appends the encoded command to dst.
func (c SetLimits) Append(dst []byte) []byte {
	return c.Limits.append(append(dst, opSetLimits))
}

func (l Limits) append(dst []byte) []byte {
	for _, v := range [...]int{l.Value, l.Name, l.Keys, l.Session, l.Sessions} {
		dst = binary.AppendUvarint(dst, uint64(max(0, v)))
	}
	return dst
}

func (d *decoder) limits() Limits {
	next := func() int { return int(min(d.uvarint(), math.MaxInt32)) }
	l := Limits{Value: next(), Name: next(), Keys: next(), Session: next(), Sessions: next()}
	if !l.valid() {
		d.fail()
	}
	return l
}
