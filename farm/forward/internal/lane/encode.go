package lane

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
)

// putString appends a string behind its length.
func putString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putVarint(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// decoder takes a payload apart. It copies the payload once; all strings are parts of the copy. After the
// first mistake everything it returns is empty.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) fail() { d.bad, d.s = true, "" }

func (d *decoder) uvarint() uint64 {
	var x uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			d.s = d.s[i+1:]
			return x | uint64(c)<<(7*i)
		}
		x |= uint64(c&0x7f) << (7 * i)
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	x := d.uvarint()
	return int64(x>>1) ^ -int64(x&1)
}

// count returns a number of things of which each takes at least one byte.
func (d *decoder) count() int { return d.countOf(1) }

// countOf returns a number of things of which each takes at least so many bytes.
func (d *decoder) countOf(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.s)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count()
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.fail()
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) bool() bool { return d.byte() != 0 }

// end returns whether everything was right. What is behind the known fields is from a newer program, and is
// ignored.
func (d *decoder) end(what string) error {
	if d.bad {
		return malformed(what)
	}
	return nil
}

// How a request's body ended, as it travels.
const (
	bodyWhole  = iota
	bodyCut    // io.ErrUnexpectedEOF
	bodyLate   // os.ErrDeadlineExceeded
	bodyTooBig // *http.MaxBytesError
	bodyOther  // an error with this text
)

// putBodyError appends how a body ended.
func putBodyError(b []byte, err error) []byte {
	if err == nil {
		return append(b, bodyWhole)
	}
	var tooBig *http.MaxBytesError // which escapes
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return append(b, bodyCut)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return append(b, bodyLate)
	case errors.As(err, &tooBig):
		b = append(b, bodyTooBig)
		return putVarint(b, tooBig.Limit)
	}
	return putString(append(b, bodyOther), err.Error())
}

// bodyError returns the error with which the body ended, nil if it is whole.
func (d *decoder) bodyError() error {
	switch d.byte() {
	case bodyWhole:
		return nil
	case bodyCut:
		return io.ErrUnexpectedEOF
	case bodyLate:
		return os.ErrDeadlineExceeded
	case bodyTooBig:
		return &http.MaxBytesError{Limit: d.varint()}
	}
	return errors.New(d.string())
}
