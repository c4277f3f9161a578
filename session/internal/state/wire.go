package state

import (
	"encoding/binary"
	"math"
	"time"
)

// Everything below is written and read with these few primitives: single bytes, 16-byte keys, unsigned varints, and
// byte strings preceded by their length.

func appendBytes[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendMillis writes d in whole milliseconds. Negative durations are written as zero, which no command accepts.
func appendMillis(dst []byte, d time.Duration) []byte {
	return binary.AppendUvarint(dst, uint64(max(0, d.Milliseconds())))
}

// maxMillis bounds every duration and time that is accepted, so that sums of two never overflow.
const maxMillis = math.MaxInt64 / int64(time.Millisecond)

// decoder reads one message. The first thing that does not fit sets bad, and everything read from then on is zero.
type decoder struct {
	b   []byte
	bad bool
}

// done reports whether the message was well-formed and has been read to its end.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

func (d *decoder) fail() {
	d.bad, d.b = true, nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
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
	v := d.uvarint()
	if v > uint64(maxMillis) {
		d.fail()
		return 0
	}
	return int64(v)
}

// bytes returns a part of the message itself, not a copy.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) key() (k Key) {
	if len(d.b) < len(k) {
		d.fail()
		return k
	}
	copy(k[:], d.b)
	d.b = d.b[len(k):]
	return k
}

// count reads the number of items that follow, each at least size bytes long.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}
