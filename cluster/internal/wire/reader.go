package wire

import "encoding/binary"

// AppendBytes appends b with its length before it.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// AppendString appends s with its length before it.
func AppendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// AppendStrings appends a list with its length before it.
func AppendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = AppendString(dst, s)
	}
	return dst
}

// BoolByte returns 1 for true and 0 for false.
func BoolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Reader takes values off the front of a byte slice. The first value that does not fit makes it bad for good;
// callers read everything and ask once at the end. What it returns aliases the slice.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a reader of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

func (r *Reader) fail() {
	r.b, r.bad = nil, true
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// Uint64 reads a number of eight bytes, the highest first.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// Uvarint reads a number as binary.AppendUvarint writes it.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Count reads a number of items of which each takes at least min bytes, so that a lie about it costs nothing.
func (r *Reader) Count(min int) int {
	v := r.Uvarint()
	if v > uint64(len(r.b)/min) {
		r.fail()
		return 0
	}
	return int(v)
}

// Bytes reads what AppendBytes wrote.
func (r *Reader) Bytes() []byte {
	n := r.Count(1)
	if r.bad {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Text reads what AppendString wrote.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Texts reads what AppendStrings wrote.
func (r *Reader) Texts() (out []string) {
	for range r.Count(1) {
		out = append(out, r.Text())
	}
	return out
}

// Done reports whether everything was read and nothing is left over.
func (r *Reader) Done() bool { return !r.bad && len(r.b) == 0 }

// Failed reports whether a value did not fit.
func (r *Reader) Failed() bool { return r.bad }

// More reports whether something is left to read.
func (r *Reader) More() bool { return len(r.b) > 0 }

// End returns an error unless everything was read and nothing is left over.
func (r *Reader) End() error {
	if !r.Done() {
		return ErrMalformed
	}
	return nil
}
