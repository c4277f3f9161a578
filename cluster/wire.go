package cluster

import "encoding/binary"

// appendBytes appends b with its length before it.
func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// wireReader takes values off the front of a byte slice. The first value that does not fit makes it bad for good;
// callers read everything and ask once at the end. What it returns aliases the slice.
type wireReader struct {
	b   []byte
	bad bool
}

// newReader returns a reader of b.
func newReader(b []byte) *wireReader { return &wireReader{b: b} }

func (r *wireReader) fail() {
	r.b, r.bad = nil, true
}

func (r *wireReader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *wireReader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *wireReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of items of which each takes at least min bytes, so that a lie about it costs nothing.
func (r *wireReader) count(min int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/min) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *wireReader) bytes() []byte {
	n := r.count(1)
	if r.bad {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *wireReader) string() string { return string(r.bytes()) }

func (r *wireReader) strings() (out []string) {
	for range r.count(1) {
		out = append(out, r.string())
	}
	return out
}

// done reports whether everything was read and nothing is left over.
func (r *wireReader) done() bool { return !r.bad && len(r.b) == 0 }

// failed reports whether a value did not fit.
func (r *wireReader) failed() bool { return r.bad }

// more reports whether something is left to read.
func (r *wireReader) more() bool { return len(r.b) > 0 }

// end returns an error unless everything was read and nothing is left over.
func (r *wireReader) end() error {
	if !r.done() {
		return errMalformed
	}
	return nil
}
