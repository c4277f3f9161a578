// Package proxyproto reads the PROXY protocol, versions 1 and 2, by which proxies that do not speak HTTP say
// who their client is. The specification is proxy-protocol.txt of HAProxy.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Header is what a proxy says at the beginning of a connection.
type Header struct {
	// Local: the proxy speaks for itself, to check that somebody is there for example.
	Local bool

	// Source and Destination are the ends of the client's connection to the proxy. They are not valid if the
	// proxy speaks for itself, and if it does not say who its client is.
	Source, Destination netip.AddrPort
}

// Named reports whether the header says who the client is.
func (h Header) Named() bool { return h.Source.IsValid() }

// ErrNone says that a connection does not begin with a header.
var ErrNone = errors.New("no PROXY protocol header")

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	longest1   = 107 // bytes of a version 1 header, with its end
)

// Begins reports whether b, the first bytes of a connection, look like a header.
func Begins(b []byte) bool {
	for _, s := range []string{signature2, signature1 + "TCP4 ", signature1 + "TCP6 ", signature1 + "UNKNOWN"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return true
		}
	}
	return false
}

// Read reads a header from r, and nothing beyond it. It returns ErrNone if r begins with something else, and
// io.EOF if it is empty.
func Read(r io.Reader) (Header, error) {
	var first [len(signature2)]byte // a header of version 1 is longer, too
	if n, err := io.ReadFull(r, first[:]); err != nil {
		got := string(first[:n])
		if n > 0 && !strings.HasPrefix(signature2, got) && !strings.HasPrefix(signature1, got[:min(n, len(signature1))]) {
			return Header{}, ErrNone
		}
		return Header{}, err
	}
	switch {
	case string(first[:]) == signature2:
		return read2(r)
	case strings.HasPrefix(string(first[:]), signature1):
		return read1(r, first[:])
	}
	return Header{}, ErrNone
}

// read1 reads the rest of a version 1 header: a line of text. It takes single bytes, since nobody knows where
// it ends.
func read1(r io.Reader, begun []byte) (Header, error) {
	line := make([]byte, len(begun), longest1)
	copy(line, begun)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == longest1 {
			return Header{}, fmt.Errorf("a PROXY line of more than %d bytes", longest1)
		}
		next := line[len(line) : len(line)+1]
		if _, err := io.ReadFull(r, next); err != nil {
			return Header{}, unexpected(err)
		}
		line = line[:len(line)+1]
		if next[0] == '\n' && line[len(line)-2] != '\r' {
			return Header{}, errors.New("a PROXY line that does not end with CR LF")
		}
	}
	h, err := parse1(string(line[len(signature1) : len(line)-2]))
	if err != nil {
		return Header{}, fmt.Errorf("a PROXY line that cannot be read: %w", err)
	}
	return h, nil
}

func parse1(s string) (h Header, err error) {
	family, rest, _ := strings.Cut(s, " ")
	switch family {
	case "UNKNOWN": // whatever follows is to be ignored
		return h, nil
	case "TCP4", "TCP6":
	default:
		return h, fmt.Errorf("%q is no family", family)
	}
	f := strings.Split(rest, " ")
	if len(f) != 4 {
		return h, fmt.Errorf("%d fields instead of 4", len(f))
	}
	if h.Source, err = end1(family, f[0], f[2]); err != nil {
		return Header{}, err
	}
	if h.Destination, err = end1(family, f[1], f[3]); err != nil {
		return Header{}, err
	}
	return h, nil
}

// end1 reads one end of a connection. An address of IPv4 that is written as one of IPv6 is the one of IPv4.
func end1(family, addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of %s", addr, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, fmt.Errorf("%q is no port", port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

const (
	version2 = 0x20
	local2   = 0x0
	proxy2   = 0x1

	typeCRC32C = 0x03
)

// sizes are how long the addresses of a family are, by the byte that says which family and which kind of
// transport it is.
var sizes = map[byte]int{0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}

// read2 reads the rest of a version 2 header, whose signature is read.
func read2(r io.Reader) (Header, error) {
	const fixed = len(signature2) + 4
	all := make([]byte, fixed, 256)
	copy(all, signature2)
	if _, err := io.ReadFull(r, all[len(signature2):]); err != nil {
		return Header{}, unexpected(err)
	}
	command, family := all[12], all[13]
	if command != version2|local2 && command != version2|proxy2 {
		return Header{}, fmt.Errorf("a PROXY header of an unknown version or command, %#x", command)
	}
	size, known := sizes[family]
	if !known && command != version2|local2 {
		return Header{}, fmt.Errorf("a PROXY header of an unknown family, %#x", family)
	}
	all = append(all, make([]byte, binary.BigEndian.Uint16(all[14:]))...)
	if _, err := io.ReadFull(r, all[fixed:]); err != nil {
		return Header{}, unexpected(err)
	}
	if command == version2|local2 { // whatever follows is to be ignored
		return Header{Local: true}, nil
	}
	if len(all) < fixed+size {
		return Header{}, errors.New("a PROXY header that is too short for its addresses")
	}
	if err := check(all, fixed+size); err != nil {
		return Header{}, err
	}
	return ends2(all[fixed : fixed+size]), nil
}

// ends2 reads the ends of a connection. Those of a unix socket name nobody.
func ends2(b []byte) (h Header) {
	n := 0
	switch len(b) {
	case 12:
		n = 4
	case 36:
		n = 16
	default:
		return h
	}
	end := func(i int) netip.AddrPort {
		a, _ := netip.AddrFromSlice(b[i*n : (i+1)*n])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[2*n+2*i:]))
	}
	return Header{Source: end(0), Destination: end(1)}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// check walks over what follows the addresses of a version 2 header, type, length and value each, and checks
// its checksum if there is one.
func check(all []byte, from int) error {
	checked := false
	for rest := all[from:]; len(rest) > 0; {
		if len(rest) < 3 || len(rest) < 3+int(binary.BigEndian.Uint16(rest[1:])) {
			return errors.New("a PROXY header that ends within one of its values")
		}
		kind, value := rest[0], rest[3:3+binary.BigEndian.Uint16(rest[1:])]
		rest = rest[3+len(value):]
		if kind != typeCRC32C {
			continue
		}
		if len(value) != 4 || checked {
			return errors.New("a PROXY header with a checksum of the wrong length, or with two")
		}
		checked = true
		want := binary.BigEndian.Uint32(value)
		clear(value)
		got := crc32.Checksum(all, castagnoli)
		binary.BigEndian.PutUint32(value, want)
		if got != want {
			return fmt.Errorf("a PROXY header with the checksum %08x instead of %08x", want, got)
		}
	}
	return nil
}

// unexpected says that a header is not whole.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
