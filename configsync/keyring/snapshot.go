package keyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
)

// A snapshot is
//
//	format (1 byte), length of the body (4 bytes), body, CRC-32C of all that (4 bytes)
//
// and the body, for every purpose in ascending order,
//
//	length of the purpose (1 byte), purpose, number of keys (4 bytes)
//
// followed by its keys in ascending order of id, each
//
//	id (4 bytes), state (1 byte), flags (1 byte, zero), created (8 bytes, ms since 1970), activated (8 bytes), key (32 bytes)
//
// Numbers are little endian. A key that may sign at once is activated when it is created; the two differ only for one
// that has to reach every member first.
const (
	format   = 1
	headSize = 1 + 4
	keySize  = 4 + 1 + 1 + 8 + 8 + Size
	maxBody  = 4 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("corrupt")
)

// WriteTo implements io.WriterTo.
func (r rings) WriteTo(w io.Writer) (int64, error) {
	b := make([]byte, headSize, 512)
	for _, purpose := range slices.Sorted(maps.Keys(r)) {
		b = append(b, byte(len(purpose)))
		b = append(b, purpose...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r[purpose])))
		for _, k := range r[purpose] {
			b = k.append(b)
		}
	}
	b[0] = format
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	n, err := w.Write(b)
	return int64(n), err
}

func (k *key) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, k.id)
	b = append(b, byte(k.state), 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.created))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.created))
	return append(b, k.secret[:]...)
}

func readRings(r io.Reader) (rings, error) {
	body, err := readBody(r)
	if err == nil {
		var all rings
		if all, err = decodeRings(body); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("keyring: snapshot: %w", err)
}

func readBody(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	if err := readFull(r, head[:1]); err != nil {
		return nil, err
	}
	if head[0] != format {
		return nil, fmt.Errorf("format %d, but this version of the program reads format %d only", head[0], format)
	}
	if err := readFull(r, head[1:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxBody {
		return nil, errCorrupt
	}
	b := make([]byte, n+4)
	if err := readFull(r, b); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b[:n])
	if sum != binary.LittleEndian.Uint32(b[n:]) {
		return nil, fmt.Errorf("%w: checksum mismatch", errCorrupt)
	}
	return b[:n], nil
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func decodeRings(b []byte) (rings, error) {
	all, last := rings{}, ""
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+4 {
			return nil, errCorrupt
		}
		purpose, count := string(b[1:n]), binary.LittleEndian.Uint32(b[n:])
		b = b[n+4:]
		if purpose <= last || !validPurpose(purpose) || count == 0 || uint64(count) > uint64(len(b)/keySize) ||
			len(all) == maxPurposes {
			return nil, errCorrupt
		}
		keys := make([]*key, count)
		id := uint32(0)
		for i := range keys {
			k, ok := decodeKey(b[:keySize])
			if !ok || k.id <= id {
				return nil, errCorrupt
			}
			keys[i], id, b = k, k.id, b[keySize:]
		}
		all[purpose], last = keys, purpose
	}
	return all, nil
}

// decodeKey refuses a state or flag that only a later format could mean something by.
func decodeKey(b []byte) (*key, bool) {
	k := &key{
		id:      binary.LittleEndian.Uint32(b),
		state:   keyState(b[4]),
		created: int64(binary.LittleEndian.Uint64(b[6:])),
		secret:  Secret(b[22:]),
	}
	activated := int64(binary.LittleEndian.Uint64(b[14:]))
	return k, k.state == signing && b[5] == 0 && k.created >= 0 && activated == k.created
}
