package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Values are stored as msgpack. The common scalar types are written and read here, without the library and without
// allocating; everything else goes through it, guarded by check in both directions.

var (
	errType   = errors.New("a value of another type")
	errNumber = errors.New("a number in it does not fit")
)

// encode returns the msgpack form of *v.
func encode[T any](v *T) ([]byte, error) {
	switch p := any(v).(type) {
	case *string:
		return appendString(make([]byte, 0, 5+len(*p)), *p), nil
	case *[]byte:
		return appendBytes(make([]byte, 0, 5+len(*p)), *p), nil
	case *bool:
		if *p {
			return []byte{0xc3}, nil
		}
		return []byte{0xc2}, nil
	case *int:
		return appendInt(int64(*p)), nil
	case *int8:
		return appendInt(int64(*p)), nil
	case *int16:
		return appendInt(int64(*p)), nil
	case *int32:
		return appendInt(int64(*p)), nil
	case *int64:
		return appendInt(*p), nil
	case *uint:
		return appendUint(uint64(*p)), nil
	case *uint8:
		return appendUint(uint64(*p)), nil
	case *uint16:
		return appendUint(uint64(*p)), nil
	case *uint32:
		return appendUint(uint64(*p)), nil
	case *uint64:
		return appendUint(*p), nil
	case *float32:
		return binary.BigEndian.AppendUint32([]byte{0xca}, math.Float32bits(*p)), nil
	case *float64:
		return binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(*p)), nil
	case *time.Time:
		return appendTime(*p), nil
	}
	return encodeAny(v)
}

func encodeAny(v any) (b []byte, err error) {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	var buf bytes.Buffer
	enc.Reset(&buf)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	if err := check(buf.Bytes()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// decode reads what encode wrote. It decodes into a fresh value, which shares no memory with b. s is T's shape.
func decode[T any](b []byte, s *shape) (v T, err error) {
	if err := check(b); err != nil {
		return v, err
	}
	if known, ok := decodeScalar(b, &v); known {
		if !ok {
			var zero T
			return zero, errType
		}
		return v, nil
	}
	if _, ok := s.fits(b); !ok {
		return v, errNumber
	}
	fresh := new(T) // apart from v, so that scalars stay off the heap
	if err := decodeAny(b, fresh); err != nil {
		return v, err
	}
	if s.times {
		s.utc(reflect.ValueOf(fresh).Elem())
	}
	return *fresh, nil
}

func decodeAny(b []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil { // a value's own decoding method, or the library, met something unforeseen
			err = fmt.Errorf("decoding panicked: %v", p)
		}
	}()
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(b))
	return dec.Decode(v)
}

// decodeScalar reads b into v if v is of one of the types encode writes itself. known says whether it is, ok whether b
// holds such a value.
func decodeScalar[T any](b []byte, v *T) (known, ok bool) {
	switch p := any(v).(type) {
	case *string:
		var s []byte
		if s, ok = readString(b); ok {
			*p = string(s)
		}
	case *[]byte:
		*p, ok = readBytes(b)
		*p = bytes.Clone(*p)
	case *bool:
		*p, ok = b[0] == 0xc3, b[0] == 0xc2 || b[0] == 0xc3
	case *int:
		ok = readSigned(b, p)
	case *int8:
		ok = readSigned(b, p)
	case *int16:
		ok = readSigned(b, p)
	case *int32:
		ok = readSigned(b, p)
	case *int64:
		ok = readSigned(b, p)
	case *uint:
		ok = readUnsigned(b, p)
	case *uint8:
		ok = readUnsigned(b, p)
	case *uint16:
		ok = readUnsigned(b, p)
	case *uint32:
		ok = readUnsigned(b, p)
	case *uint64:
		ok = readUnsigned(b, p)
	case *float32:
		if ok = b[0] == 0xca; ok {
			*p = math.Float32frombits(binary.BigEndian.Uint32(b[1:]))
		}
	case *float64:
		*p, ok = readFloat(b)
	case *time.Time:
		*p, ok = readTime(b)
	default:
		return false, false
	}
	return true, ok
}

func appendString(dst []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

func appendBytes(dst []byte, b []byte) []byte {
	switch n := len(b); {
	case b == nil:
		return append(dst, 0xc0)
	case n <= math.MaxUint8:
		dst = append(dst, 0xc4, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
	}
	return append(dst, b...)
}

func appendInt(v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(uint64(v))
	case v >= -32:
		return []byte{byte(v)}
	}
	return binary.BigEndian.AppendUint64([]byte{0xd3}, uint64(v))
}

func appendUint(v uint64) []byte {
	switch {
	case v < 0x80:
		return []byte{byte(v)}
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32([]byte{0xce}, uint32(v))
	}
	return binary.BigEndian.AppendUint64([]byte{0xcf}, v)
}

// appendTime writes the timestamp extension in its 12-byte form, which holds every time.Time.
func appendTime(t time.Time) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0xc7, 12, 0xff}, uint32(t.Nanosecond()))
	return binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
}

// The read functions take a value that check has accepted, so lengths need no second look.

func readString(b []byte) ([]byte, bool) {
	switch c := b[0]; {
	case c >= 0xa0 && c <= 0xbf:
		return b[1:], true
	case c == 0xd9:
		return b[2:], true
	case c == 0xda:
		return b[3:], true
	case c == 0xdb:
		return b[5:], true
	}
	return nil, false
}

func readBytes(b []byte) ([]byte, bool) {
	switch b[0] {
	case 0xc0:
		return nil, true
	case 0xc4:
		return b[2:], true
	case 0xc5:
		return b[3:], true
	case 0xc6:
		return b[5:], true
	}
	return nil, false
}

// readInteger returns the value's bits; negative tells how to read them.
func readInteger(b []byte) (v uint64, negative, ok bool) {
	c := b[0]
	if c < 0x80 || c >= 0xe0 {
		return uint64(int8(c)), c >= 0xe0, true
	}
	if c < 0xcc || c > 0xd3 {
		return 0, false, false
	}
	for _, d := range b[1:] {
		v = v<<8 | uint64(d)
	}
	if c >= 0xd0 { // signed: extend the sign from the width given
		shift := 64 - 8*(len(b)-1)
		s := int64(v<<shift) >> shift
		return uint64(s), s < 0, true
	}
	return v, false, true
}

func readSigned[N int | int8 | int16 | int32 | int64](b []byte, p *N) bool {
	v, negative, ok := readInteger(b)
	n := N(v)
	if !ok || int64(n) != int64(v) || negative != (n < 0) {
		return false
	}
	*p = n
	return true
}

func readUnsigned[N uint | uint8 | uint16 | uint32 | uint64](b []byte, p *N) bool {
	v, negative, ok := readInteger(b)
	n := N(v)
	if !ok || negative || uint64(n) != v {
		return false
	}
	*p = n
	return true
}

func readFloat(b []byte) (float64, bool) {
	switch b[0] {
	case 0xca:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:]))), true
	case 0xcb:
		return math.Float64frombits(binary.BigEndian.Uint64(b[1:])), true
	}
	return 0, false
}

// readTime reads all three forms of the timestamp extension. The zone is UTC, whatever the machine's is.
func readTime(b []byte) (time.Time, bool) {
	const timestamp = 0xff
	switch {
	case b[0] == 0xd6 && b[1] == timestamp:
		return time.Unix(int64(binary.BigEndian.Uint32(b[2:])), 0).UTC(), true
	case b[0] == 0xd7 && b[1] == timestamp:
		v := binary.BigEndian.Uint64(b[2:])
		return time.Unix(int64(v&(1<<34-1)), int64(v>>34)).UTC(), true
	case b[0] == 0xc7 && b[1] == 12 && b[2] == timestamp:
		nsec, sec := binary.BigEndian.Uint32(b[3:]), binary.BigEndian.Uint64(b[7:])
		return time.Unix(int64(sec), int64(nsec)).UTC(), true
	}
	return time.Time{}, false
}
