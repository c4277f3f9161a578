package state

import (
	"encoding/binary"
	"math"
)

// Commands, answers and snapshots are written with these few primitives: single bytes, unsigned varints, and
// strings preceded by their length.

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendMillis(dst []byte, ms int64) []byte { return appendUint(dst, uint64(max(0, ms))) }

func appendText(dst []byte, s string) []byte { return append(appendUint(dst, uint64(len(s))), s...) }

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// maxMillis bounds every time that is accepted, so that sums of two never overflow.
const maxMillis = math.MaxInt64 / 1024

// decoder reads one message. The first thing that does not fit sets bad, and everything read from then on is
// zero.
type decoder struct {
	b   []byte
	bad bool
}

// done reports whether the message was well-formed and has been read to its end.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// below reads a byte that is less than n.
func (d *decoder) below(n byte) byte {
	c := d.byte()
	if c >= n {
		d.fail()
		return 0
	}
	return c
}

func (d *decoder) bool() bool { return d.below(2) == 1 }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // truncated, too long, or padded: one number has one spelling
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// millis reads a duration or a point of time in milliseconds.
func (d *decoder) millis() int64 {
	v := d.uint()
	if v > uint64(maxMillis) {
		d.fail()
		return 0
	}
	return int64(v)
}

// text reads a string of at most limit bytes.
func (d *decoder) text(limit int) string {
	n := d.uint()
	if n > uint64(len(d.b)) || n > uint64(limit) {
		d.fail()
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// name reads a text that is not empty.
func (d *decoder) name() string {
	s := d.text(MaxName)
	if s == "" {
		d.fail()
	}
	return s
}

// count reads the number of items that follow, each at least size bytes long.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}
