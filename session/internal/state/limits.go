package state

import (
	"encoding/binary"
	"fmt"
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

	// Total is bytes of memory for all sessions together, at a node, their records and tombstones included; see Cost. The last
	// eighth of it is for sessions that exist. 0 = no such limit, which is so until a ChangeLimits.
	Total int64
}

// DefaultLimits returns the limits of a new machine.
func DefaultLimits() Limits {
	return Limits{Value: 16 << 10, Name: 64, Keys: 64, Session: 64 << 10, Sessions: 1 << 20}
}

// DefaultTotal is the Total of a farm that sets none: 1 GiB.
const DefaultTotal = 1 << 30

// maxLimits is as far as SetLimits and ChangeLimits go. It also bounds what Restore and DecodeFetched accept.
var maxLimits = Limits{Value: 1 << 20, Name: 255, Keys: 4096, Session: 2 << 20, Sessions: 1 << 30, Total: 1 << 50}

// Check says what is wrong with l as the limits of a ChangeLimits, or nil.
func (l Limits) Check() error {
	for _, c := range [...]struct {
		name       string
		v, lo, max int64
	}{
		{"Value", int64(l.Value), 1, int64(maxLimits.Value)},
		{"Name", int64(l.Name), 1, int64(maxLimits.Name)},
		{"Keys", int64(l.Keys), 1, int64(maxLimits.Keys)},
		{"Session", int64(l.Session), 1, int64(maxLimits.Session)},
		{"Sessions", int64(l.Sessions), 1, int64(maxLimits.Sessions)},
		{"Total", l.Total, 1, maxLimits.Total},
	} {
		if c.v < c.lo || c.v > c.max {
			return fmt.Errorf("%s is %d: it must be %d at least and %d at most", c.name, c.v, c.lo, c.max)
		}
	}
	return nil
}

func (l Limits) valid() bool {
	within := func(v, limit int) bool { return v >= 1 && v <= limit }
	return within(l.Value, maxLimits.Value) && within(l.Name, maxLimits.Name) && within(l.Keys, maxLimits.Keys) &&
		within(l.Session, maxLimits.Session) && within(l.Sessions, maxLimits.Sessions)
}

// SetLimits replaces the limits for all sessions from here on in the log, save Total. Programs of earlier releases know it;
// ChangeLimits takes its place.
//
// Answers: OK; Malformed if a limit is below 1 or above what the format allows (values of 1 MiB, names of 255 bytes,
// 4,096 keys, sessions of 2 MiB, 2^30 sessions).
type SetLimits struct{ Limits Limits }

// Append appends the encoded command to dst.
func (c SetLimits) Append(dst []byte) []byte {
	return c.Limits.append(append(dst, opSetLimits))
}

// ChangeLimits replaces the limits for all sessions from here on in the log, if they are still those that the caller saw:
// Version is that of the limits seen (Machine.LimitsVersion). So two nodes that were told different ones do not go on taking
// turns without noticing. It needs protocol level 3.
//
// Answers: OK with the new Version; Conflict with the present Version; Malformed if Limits.Check has an objection.
type ChangeLimits struct {
	Version uint64
	Limits  Limits
}

// Append appends the encoded command to dst.
func (c ChangeLimits) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, opChangeLimits), c.Version)
	dst = c.Limits.append(dst)
	return binary.AppendUvarint(dst, uint64(max(0, c.Limits.Total)))
}

func (l Limits) append(dst []byte) []byte {
	for _, v := range [...]int{l.Value, l.Name, l.Keys, l.Session, l.Sessions} {
		dst = binary.AppendUvarint(dst, uint64(max(0, v)))
	}
	return dst
}

// changedLimits reads limits with a Total.
func (d *decoder) changedLimits() Limits {
	l := d.limits()
	l.Total = int64(min(d.Uint(), math.MaxInt64))
	if d.Bad() || l.Check() != nil {
		d.Fail()
	}
	return l
}

func (d *decoder) limits() Limits {
	next := func() int { return int(min(d.Uint(), math.MaxInt32)) }
	l := Limits{Value: next(), Name: next(), Keys: next(), Session: next(), Sessions: next()}
	if !l.valid() {
		d.Fail()
	}
	return l
}
