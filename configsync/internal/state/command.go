package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// What a revision, and a command, can hold. These are part of the format.
const (
	MaxBytes = 256 << 10 // of all texts of a revision together
	MaxFiles = 256       // of a revision
	MaxPath  = 256       // bytes
	MaxWho   = 256       // bytes
	MaxWhy   = 1024      // bytes
	MaxKey   = 64        // bytes
	Kept     = 50        // epochs
)

const (
	opPut      byte = 1
	opActivate byte = 2
)

const levelFirst = 4 // the protocol level that the machine, and all it knows, needs

// Level returns the protocol level that a command needs; that of the machine itself for nil.
func Level([]byte) int { return levelFirst }

// ErrUnknownCommand is what an UnknownCommandError is.
var ErrUnknownCommand = errors.New("configsync: unknown command")

// UnknownCommandError is the value Machine.Apply panics with when a command begins with an op code it does
// not know: a newer program wrote it, and to skip it would let this node's configuration drift from the
// others'. Whoever drives the machine recovers it and stops the node; the machine is unchanged.
type UnknownCommandError struct {
	Op    byte
	Index uint64 // of the command
}

// Error implements error.
func (e UnknownCommandError) Error() string {
	return fmt.Sprintf("configsync: unknown command %d at index %d: a newer version of the program wrote it",
		e.Op, e.Index)
}

// Unwrap returns ErrUnknownCommand, and the error by which whoever drives the machine knows that a newer
// program is needed.
func (e UnknownCommandError) Unwrap() []error { return []error{ErrUnknownCommand, fault.ErrVersion} }

// Write is what every command says of itself.
type Write struct {
	Epoch    uint64 // that must be in force
	Who, Why string
	Key      string // the same whenever the write is repeated, and no other write's; "" = it is not repeated
}

// Put changes files of the revision in force, and puts what comes out in force.
type Put struct {
	Write
	Changes []Change
}

// Change sets a file, or takes it away.
type Change struct {
	Path   string
	Delete bool
	Text   string
}

// Activate puts an epoch's revision in force again.
type Activate struct {
	Write
	Again uint64 // the epoch
}

// A command is the op code and then, with numbers as uvarints and strings after their length:
//
//	put:      epoch, key, who, why, number of changes, for each: path, 0 to set or 1 to delete, text
//	activate: epoch, key, who, why, epoch to put in force again

// Append appends the command to b.
func (c Put) Append(b []byte) []byte {
	b = c.Write.append(append(b, opPut))
	b = binary.AppendUvarint(b, uint64(len(c.Changes)))
	for _, ch := range c.Changes {
		b = appendString(b, ch.Path)
		b = append(b, boolByte(ch.Delete))
		b = appendString(b, ch.Text)
	}
	return b
}

// Append appends the command to b.
func (c Activate) Append(b []byte) []byte {
	return binary.AppendUvarint(c.Write.append(append(b, opActivate)), c.Again)
}

func (w Write) append(b []byte) []byte {
	b = binary.AppendUvarint(b, w.Epoch)
	for _, s := range []string{w.Key, w.Who, w.Why} {
		b = appendString(b, s)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decoder reads what the appends write. After the first thing that is wrong it returns nothing any more.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && v>>(7*(n-1)) == 0 { // written longer than it need be
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(most int) []byte {
	n := d.number()
	if n > uint64(min(most, len(d.b))) {
		d.b, d.bad = nil, true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// text returns a copy of text of so many bytes at most.
func (d *decoder) text(most int) string {
	b := d.bytes(most)
	if !utf8.Valid(b) {
		d.bad = true
	}
	return string(b)
}

// count returns how many things follow, of which each has so many bytes at least.
func (d *decoder) count(most, size int) int {
	n := d.number()
	if n > uint64(most) || n > uint64(len(d.b)/size) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) flag() bool {
	v := d.number()
	d.bad = d.bad || v > 1
	return v == 1
}

func (d *decoder) path() string {
	p := d.text(MaxPath)
	d.bad = d.bad || !fs.ValidPath(p) || p == "."
	return p
}

// done reports whether everything was read, and right.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

func (d *decoder) write() Write {
	return Write{Epoch: d.number(), Key: d.text(MaxKey), Who: d.text(MaxWho), Why: d.text(MaxWhy)}
}

func decodePut(b []byte) (c Put, ok bool) {
	d := decoder{b: b}
	c.Write = d.write()
	seen := map[string]bool{}
	for range d.count(MaxFiles, 3) {
		ch := Change{Path: d.path(), Delete: d.flag(), Text: d.text(MaxBytes)}
		if seen[ch.Path] || ch.Delete && ch.Text != "" {
			return c, false
		}
		seen[ch.Path] = true
		c.Changes = append(c.Changes, ch)
	}
	return c, d.done()
}

func decodeActivate(b []byte) (c Activate, ok bool) {
	d := decoder{b: b}
	c.Write, c.Again = d.write(), d.number()
	return c, d.done()
}

// Status is how a command ended.
type Status byte

// What a command can end with. Epoch in the answer is the one in force then.
const (
	Done      Status = iota + 1
	Same             // that is what is in force
	Conflict         // another epoch is in force than the write says
	NoEpoch          // the epoch is not kept, or never was
	TooLarge         // the revision would be over a limit
	Malformed        // not what the appends write
)

// Answer is what Apply returns, encoded.
type Answer struct {
	Status Status
	Epoch  uint64
}

func (a Answer) encode() []byte { return binary.AppendUvarint([]byte{byte(a.Status)}, a.Epoch) }

// DecodeAnswer reads what Apply has returned.
func DecodeAnswer(b []byte) (a Answer, err error) {
	if len(b) > 0 {
		d := decoder{b: b[1:]}
		a = Answer{Status(b[0]), d.number()}
		if d.done() && Done <= a.Status && a.Status <= Malformed {
			return a, nil
		}
	}
	return a, errors.New("configsync: answer not understood")
}
