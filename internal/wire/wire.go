// Package wire reads what state machines write into logs and snapshots: single bytes, unsigned varints, and texts
// after their length. A number has one spelling, so that what was read is written again as the same bytes.
package wire

import "encoding/binary"

// Decoder reads one message. The first thing that does not fit makes it bad, and everything that is read from then
// on is zero. The zero Decoder has nothing to read.
type Decoder struct {
	b   []byte
	bad bool
}

// NewDecoder returns a decoder of b, which it does not change.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Done reports whether the message was right, and has been read to its end.
func (d *Decoder) Done() bool { return !d.bad && len(d.b) == 0 }

// Bad reports whether something did not fit.
func (d *Decoder) Bad() bool { return d.bad }

// Fail makes the decoder bad.
func (d *Decoder) Fail() { d.bad, d.b = true, nil }

// Check makes the decoder bad unless ok.
func (d *Decoder) Check(ok bool) {
	if !ok {
		d.Fail()
	}
}

// Rest returns what has not been read. It is a part of the message.
func (d *Decoder) Rest() []byte { return d.b }

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if len(d.b) == 0 {
		d.Fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// Below reads a byte that is less than n.
func (d *Decoder) Below(n byte) byte {
	c := d.Byte()
	if c >= n {
		d.Fail()
		return 0
	}
	return c
}

// Bool reads a 0 or a 1.
func (d *Decoder) Bool() bool { return d.Below(2) == 1 }

// Uint reads an unsigned varint, which is as short as it can be.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // cut off, too long, or padded
		d.Fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// UintTo reads a number of most at most.
func (d *Decoder) UintTo(most uint64) uint64 {
	v := d.Uint()
	if v > most {
		d.Fail()
		return 0
	}
	return v
}

// Take reads n bytes. They are a part of the message, or zeros if there are fewer.
func (d *Decoder) Take(n int) []byte {
	if len(d.b) < n {
		d.Fail()
		return make([]byte, n)
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// Bytes reads most bytes at most, after their number. They are a part of the message.
func (d *Decoder) Bytes(most int) []byte {
	n := d.Uint()
	if n > uint64(len(d.b)) || n > uint64(most) {
		d.Fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// Text reads a copy of such bytes.
func (d *Decoder) Text(most int) string { return string(d.Bytes(most)) }

// Count reads how many items follow: most at most, of size bytes each at least.
func (d *Decoder) Count(most, size int) int {
	n := d.Uint()
	if n > uint64(most) || n > uint64(len(d.b)/size) {
		d.Fail()
		return 0
	}
	return int(n)
}
