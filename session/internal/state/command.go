package state

import (
	"encoding/binary"
	"time"
)

// Key names a session: the first 16 bytes of the SHA-256 of the random part of its token. The token itself never gets
// here.
type Key [16]byte

// Entry is one value of a session. The machine does not look into Value.
type Entry struct {
	Name  string
	Value []byte
}

// Op codes: the first byte of a command. They are never reused. Zero is none, so that an empty page is not a command.
const (
	opCreate byte = iota + 1
	opWrite
	opCAS
	opTake
	opDestroy
	opTouch
	opTick
	opSetLimits
	opRenew
	opChangeLimits
)

// CommandsLevel is the protocol level whose programs know all commands; those of earlier ones do not know Renew and ChangeLimits.
const CommandsLevel = 3

// Level returns the protocol level that a farm must work at before cmd may get into its log: below it there may be nodes
// whose program does not know the command, and would have to end. It looks at the op code only. nil asks for the machine
// itself.
func Level(cmd []byte) int {
	if len(cmd) > 0 && cmd[0] > opSetLimits {
		return CommandsLevel
	}
	return 1
}

// Create makes a session. It is the only command that does.
//
// Answers: OK with the Version of all Values; Exists if Key exists or ended less than TombstoneTTL ago; TooLarge; Full;
// Malformed if a duration is below a millisecond or a name is empty. Of two Values with one name the later counts.
type Create struct {
	Key      Key
	Idle     time.Duration // without use, plus Granularity(Idle); whole milliseconds
	Absolute time.Duration // from now on, however much it is used; whole milliseconds
	Values   []Entry
}

// Append appends the encoded command to dst.
func (c Create) Append(dst []byte) []byte {
	dst = append(dst, opCreate)
	dst = append(dst, c.Key[:]...)
	dst = appendMillis(dst, c.Idle)
	dst = appendMillis(dst, c.Absolute)
	return appendEntries(dst, c.Values)
}

// Write changes some values of an existing session and leaves the others alone. Deletes come first, so a name in both
// ends up set; of two Sets of one name the later counts. All of it happens or nothing. A Write is a use of the session.
//
// Answers: OK with the Version which all Sets got (or, if nothing changed because only absent names were deleted, with
// Version 0); Ended; TooLarge; Full; Malformed.
type Write struct {
	Key     Key
	Sets    []Entry
	Deletes []string
}

// Append appends the encoded command to dst.
func (c Write) Append(dst []byte) []byte {
	dst = append(dst, opWrite)
	dst = append(dst, c.Key[:]...)
	return appendDeletes(appendEntries(dst, c.Sets), c.Deletes)
}

// CAS sets one value if it has not changed since the caller saw it. Version is that of the value seen, 0 if there was
// none. A successful CAS is a use of the session.
//
// Answers: OK with the new Version; Conflict with the present Value and Version, or with Found false and Version 0 if
// there is none now; Ended; TooLarge; Full; Malformed.
type CAS struct {
	Key     Key
	Name    string
	Version uint64
	Value   []byte
}

// Append appends the encoded command to dst.
func (c CAS) Append(dst []byte) []byte {
	dst = append(dst, opCAS)
	dst = append(dst, c.Key[:]...)
	dst = appendBytes(dst, c.Name)
	dst = binary.AppendUvarint(dst, c.Version)
	return appendBytes(dst, c.Value)
}

// Take reads and deletes one value at once: of several that come at the same time, one gets it. A successful Take is a
// use of the session.
//
// Answers: OK with Found, Value and the Version it had; Ended; Malformed.
type Take struct {
	Key  Key
	Name string
}

// Append appends the encoded command to dst.
func (c Take) Append(dst []byte) []byte {
	dst = append(dst, opTake)
	dst = append(dst, c.Key[:]...)
	return appendBytes(dst, c.Name)
}

// Destroy ends a session.
//
// Answers: OK; Ended if there was nothing to end; Malformed.
type Destroy struct{ Key Key }

// Append appends the encoded command to dst.
func (c Destroy) Append(dst []byte) []byte {
	return append(append(dst, opDestroy), c.Key[:]...)
}

// Renew gives a session another key, and changes some of its values like a Write, all at once. The old key has ended from
// there on; times and values go on under the new one. It needs protocol level 3.
//
// Answers: OK with the Version which all Sets got, 0 if there were none; Ended; Exists if there is a session of the New key, or one ended less than
// TombstoneTTL ago; TooLarge; Full; Malformed.
type Renew struct {
	Key     Key
	New     Key
	Sets    []Entry
	Deletes []string
}

// Append appends the encoded command to dst.
func (c Renew) Append(dst []byte) []byte {
	dst = append(dst, opRenew)
	dst = append(dst, c.Key[:]...)
	dst = append(dst, c.New[:]...)
	return appendDeletes(appendEntries(dst, c.Sets), c.Deletes)
}

// Touch records a use of each of Keys at the log's time. Sessions that do not exist, or have ended, are passed over.
// A Touch does not count as a change (Record.Mod).
//
// Answers: OK with Count, the number of sessions it reached; Malformed.
type Touch struct{ Keys []Key }

// Append appends the encoded command to dst.
func (c Touch) Append(dst []byte) []byte {
	dst = append(dst, opTouch)
	for i := range c.Keys {
		dst = append(dst, c.Keys[i][:]...)
	}
	return dst
}

// MaxExpire is the most sessions that one Tick collects.
const MaxExpire = 1000

// Tick collects sessions whose deadline has passed by the log's time, the oldest first, and forgets old tombstones.
// Nothing depends on it but memory: a session past its deadline is dead before it is collected.
//
// Answers: OK with Count, the number of sessions collected, and More if another Tick would find more at once;
// Malformed.
type Tick struct {
	Limit int // of sessions collected by this command; 0 and anything above MaxExpire mean MaxExpire
}

// Append appends the encoded command to dst.
func (c Tick) Append(dst []byte) []byte {
	return binary.AppendUvarint(append(dst, opTick), uint64(max(0, c.Limit)))
}

func appendDeletes(dst []byte, names []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendBytes(dst, name)
	}
	return dst
}

func appendEntries(dst []byte, entries []Entry) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	for i := range entries {
		dst = appendBytes(dst, entries[i].Name)
		dst = appendBytes(dst, entries[i].Value)
	}
	return dst
}
