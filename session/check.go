package session

import (
	"encoding/binary"
	"errors"
)

// maxDepth is how deep maps and arrays may nest.
const maxDepth = 32

var errMalformed = errors.New("not exactly one msgpack value, or nested deeper than 32 levels")

// check accepts b only if it is exactly one msgpack value, all lengths in it fit into b, and it nests at most maxDepth
// levels. The msgpack library trusts declared lengths: five bytes can make it allocate gigabytes, and a few megabytes of
// nested arrays overflow the stack, which no recover stops. So nothing reaches the library that has not passed here.
func check(b []byte) error {
	if rest, ok := skipValue(b, maxDepth); !ok || len(rest) != 0 {
		return errMalformed
	}
	return nil
}

// skipValue returns what follows the first value of b.
func skipValue(b []byte, depth int) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	c := b[0]
	b = b[1:]
	switch {
	case c < 0x80 || c >= 0xe0: // fixint
		return b, true
	case c < 0x90: // fixmap
		return skipItems(b, 2*uint64(c&0x0f), depth)
	case c < 0xa0: // fixarray
		return skipItems(b, uint64(c&0x0f), depth)
	case c < 0xc0: // fixstr
		return skipBytes(b, uint64(c&0x1f))
	}
	f := formats[c-0xc0]
	n, b, ok := length(b, f.length)
	if !ok {
		return nil, false
	}
	switch f.kind {
	case fixedFormat:
		return skipBytes(b, uint64(f.extra))
	case bytesFormat:
		return skipBytes(b, n+uint64(f.extra))
	case itemsFormat:
		return skipItems(b, n*uint64(f.extra), depth)
	}
	return nil, false
}

// format describes the values that begin with one of the bytes 0xc0 to 0xdf.
type format struct {
	kind   uint8
	length uint8 // bytes of the length field
	extra  uint8 // fixed: bytes that follow; bytes: what follows beyond the length; items: values per item
}

const (
	noFormat uint8 = iota
	fixedFormat
	bytesFormat
	itemsFormat
)

var formats = [32]format{
	0x00: {fixedFormat, 0, 0}, // nil
	0x02: {fixedFormat, 0, 0}, // false
	0x03: {fixedFormat, 0, 0}, // true
	0x04: {bytesFormat, 1, 0}, // bin
	0x05: {bytesFormat, 2, 0},
	0x06: {bytesFormat, 4, 0},
	0x07: {bytesFormat, 1, 1}, // ext: a type byte besides
	0x08: {bytesFormat, 2, 1},
	0x09: {bytesFormat, 4, 1},
	0x0a: {fixedFormat, 0, 4}, // float
	0x0b: {fixedFormat, 0, 8},
	0x0c: {fixedFormat, 0, 1}, // uint
	0x0d: {fixedFormat, 0, 2},
	0x0e: {fixedFormat, 0, 4},
	0x0f: {fixedFormat, 0, 8},
	0x10: {fixedFormat, 0, 1}, // int
	0x11: {fixedFormat, 0, 2},
	0x12: {fixedFormat, 0, 4},
	0x13: {fixedFormat, 0, 8},
	0x14: {fixedFormat, 0, 2}, // fixext: a type byte besides
	0x15: {fixedFormat, 0, 3},
	0x16: {fixedFormat, 0, 5},
	0x17: {fixedFormat, 0, 9},
	0x18: {fixedFormat, 0, 17},
	0x19: {bytesFormat, 1, 0}, // str
	0x1a: {bytesFormat, 2, 0},
	0x1b: {bytesFormat, 4, 0},
	0x1c: {itemsFormat, 2, 1}, // array
	0x1d: {itemsFormat, 4, 1},
	0x1e: {itemsFormat, 2, 2}, // map
	0x1f: {itemsFormat, 4, 2},
}

func length(b []byte, size uint8) (n uint64, rest []byte, ok bool) {
	if len(b) < int(size) {
		return 0, nil, false
	}
	switch size {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(b))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b))
	}
	return n, b[size:], true
}

func skipBytes(b []byte, n uint64) ([]byte, bool) {
	if n > uint64(len(b)) {
		return nil, false
	}
	return b[n:], true
}

// skipItems skips n values one level further down. Each takes a byte at least, so n beyond len(b) cannot be true.
func skipItems(b []byte, n uint64, depth int) ([]byte, bool) {
	if n > uint64(len(b)) || depth == 0 {
		return nil, false
	}
	for ok := true; n > 0; n-- {
		if b, ok = skipValue(b, depth-1); !ok {
			return nil, false
		}
	}
	return b, true
}
