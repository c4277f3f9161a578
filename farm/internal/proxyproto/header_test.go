package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// header2 writes a version 2 header.
func header2(command, family byte, rest ...byte) []byte {
	b := append([]byte(signature2), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return append(b, rest...)
}

// tlv writes one value.
func tlv(kind byte, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

// sealed puts the checksum into a header whose last value is one.
func sealed(b []byte) []byte {
	end := b[len(b)-4:]
	clear(end)
	binary.BigEndian.PutUint32(end, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

var (
	ends4 = []byte{1, 1, 1, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80}
	ends6 = slices.Concat(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("::2").AsSlice(), []byte{0x12, 0x34, 0, 80})
	sum   = tlv(typeCRC32C, 0, 0, 0, 0)
)

const (
	named4 = "1.1.1.1:4660 10.0.0.1:80"
	named6 = "[2001:db8::1]:4660 [::2]:80"
)

// headers are well-formed, by what they say.
var headers = map[string][][]byte{
	named4: {
		[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660 80\r\n"),
		[]byte("PROXY TCP6 ::ffff:1.1.1.1 ::ffff:10.0.0.1 4660 80\r\n"),
		header2(0x21, 0x11, ends4...),
		header2(0x21, 0x12, ends4...),
		header2(0x21, 0x11, slices.Concat(ends4, tlv(0x04, 0, 0, 0), tlv(0x20, 1, 2), tlv(0xee))...),
		sealed(header2(0x21, 0x11, slices.Concat(ends4, tlv(1, 'h', '2'), sum)...)),
	},
	named6: {
		[]byte("PROXY TCP6 2001:db8::1 ::2 4660 80\r\n"),
		header2(0x21, 0x21, ends6...),
		sealed(header2(0x21, 0x22, slices.Concat(ends6, sum)...)),
	},
	"unnamed": {
		[]byte("PROXY UNKNOWN\r\n"),
		[]byte("PROXY UNKNOWN ffff::1 ::1 70000 x\r\n"),
		[]byte("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"),
		header2(0x21, 0x00),
		header2(0x21, 0x00, tlv(4, 1)...),
		header2(0x21, 0x31, make([]byte, 216)...),
	},
	"local": {
		header2(0x20, 0x00),
		header2(0x20, 0x11, ends4...),
		header2(0x20, 0xff, 1, 2, 3),
	},
}

// wrong are no headers.
var wrong = [][]byte{
	[]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
	[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaa"),
	[]byte("PROXY"),
	[]byte("X"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660 80\n     "),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660 80"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660  80\r\n"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660 80 \r\n"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 4660\r\n"),
	[]byte("PROXY TCP4 1.1.1.01 10.0.0.1 4660 80\r\n"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 04660 80\r\n"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 +4660 80\r\n"),
	[]byte("PROXY TCP4 1.1.1.1 10.0.0.1 65536 80\r\n"),
	[]byte("PROXY TCP4 ::1 ::1 4660 80\r\n"),
	[]byte("PROXY TCP6 1.1.1.1 10.0.0.1 4660 80\r\n"),
	[]byte("PROXY TCP6 fe80::1%x ::1 4660 80\r\n"),
	[]byte("PROXY UDP4 1.1.1.1 10.0.0.1 4660 80\r\n"),
	[]byte("PROXY UNKNOWNX\r\n"),
	[]byte("proxy TCP4 1.1.1.1 10.0.0.1 4660 80\r\n"),
	[]byte("PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n"),
	header2(0x22, 0x11, ends4...),
	header2(0x11, 0x11, ends4...),
	header2(0x21, 0x10, ends4...),
	header2(0x21, 0x41, ends4...),
	header2(0x21, 0x13, ends4...),
	header2(0x21, 0x11, ends4[:11]...),
	header2(0x21, 0x21, ends4...),
	header2(0x21, 0x11, ends4...)[:27],
	header2(0x21, 0x11, slices.Concat(ends4, []byte{4, 0})...),
	header2(0x21, 0x11, slices.Concat(ends4, []byte{4, 0, 2, 1})...),
	header2(0x21, 0x11, slices.Concat(ends4, sum)...),
	header2(0x21, 0x11, slices.Concat(ends4, tlv(typeCRC32C, 1, 2, 3))...),
	sealed(header2(0x21, 0x11, slices.Concat(ends4, sum, sum)...)),
}

func says(h Header) string {
	switch {
	case h.Local:
		return "local"
	case h.Named():
		return h.Source.String() + " " + h.Destination.String()
	}
	return "unnamed"
}

func TestRead(t *testing.T) {
	for want, all := range headers {
		for _, b := range all {
			for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r },
				"in bytes": iotest.OneByteReader, "in halves": iotest.HalfReader} {
				r := bytes.NewReader(append(slices.Clone(b), "rest"...))
				h, err := Read(wrap(r))
				if err != nil || says(h) != want {
					t.Errorf("%q %s: %s, %v; want %s", b, name, says(h), err, want)
				}
				if r.Len() != len("rest") {
					t.Errorf("%q %s: %d bytes are left, not 4", b, name, r.Len())
				}
			}
			if !Begins(b) {
				t.Errorf("%q does not look like a header", b)
			}
			for n := range b { // torn anywhere
				if _, err := Read(bytes.NewReader(b[:n])); err == nil || n > 0 && err == io.EOF || errors.Is(err, ErrNone) {
					t.Errorf("%q: %v", b[:n], err)
				}
			}
		}
	}
	for _, b := range wrong {
		if h, err := Read(bytes.NewReader(b)); err == nil || err == io.EOF {
			t.Errorf("%q: %s, %v", b, says(h), err)
		}
	}
	for _, b := range wrong[:4] {
		if _, err := Read(bytes.NewReader(b)); b[0] != 'P' && !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", b, err)
		}
		if Begins(b) {
			t.Errorf("%q looks like a header", b)
		}
	}
	if _, err := Read(bytes.NewReader(nil)); err != io.EOF {
		t.Errorf("of nothing: %v", err)
	}
}

// A bit that changes on the way is found, wherever it is.
func TestRead_Checksum(t *testing.T) {
	b := sealed(header2(0x21, 0x11, slices.Concat(ends4, tlv(1, 'h', '2'), sum)...))
	for i := range len(b) * 8 {
		bad := slices.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		h, err := Read(bytes.NewReader(append(bad, make([]byte, 70000)...)))
		switch {
		case err != nil:
		case i/8 == 12 && h.Local: // then nothing of it counts
		case i/8 >= 28 && says(h) == named4: // it may say now that there is no checksum
		default:
			t.Errorf("bit %d: %s", i, says(h))
		}
	}
}

func TestCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{"FuzzRead": {
		"text4":   headers[named4][0],
		"text6":   headers[named6][0],
		"unknown": headers["unnamed"][0],
		"binary4": headers[named4][4],
		"binary6": headers[named6][1],
		"sealed":  headers[named4][5],
		"unix":    headers["unnamed"][5],
		"local":   headers["local"][1],
	}})
}

func FuzzRead(f *testing.F) {
	for _, all := range headers {
		for _, b := range all {
			f.Add(b)
		}
	}
	for _, b := range wrong {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := Read(r)
		if err != nil {
			if h != (Header{}) {
				t.Errorf("%v and %s", err, says(h))
			}
			return
		}
		if !Begins(b) || h.Local && h.Named() || h.Named() != h.Destination.IsValid() || h.Source.Addr().Is4In6() {
			t.Errorf("%q: %+v", b, h)
		}
		slow := bytes.NewReader(b)
		again, err := Read(iotest.OneByteReader(slow))
		if err != nil || again != h || slow.Len() != r.Len() {
			t.Errorf("byte by byte: %+v, %v", again, err)
		}
		if _, err := Read(bytes.NewReader(b[:len(b)-r.Len()-1])); err == nil {
			t.Errorf("%q is a header without its last byte", b)
		}
	})
}
