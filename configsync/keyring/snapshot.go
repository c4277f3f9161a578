package keyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A snapshot is
//
//	format (1 byte), length of the body (4 bytes), body, CRC-32C of all that (4 bytes)
//
// and the body, for every purpose in ascending order,
//
//	length of the purpose (1 byte), purpose, number of keys (4 bytes)
//
// followed by its keys in ascending order of id, each, in format 1,
//
//	id (4 bytes), state (1 byte), flags (1 byte, zero), created (8 bytes, ms since 1970), created again,
//	secret (32 bytes)
//
// and in format 2
//
//	id, state, flags, created, signed (8 bytes), ended (8 bytes), secret
//
// Numbers are little endian. Programs of protocol level 3 or less read format 1 alone, in which each purpose
// has one key, and that signs: so it is written wherever it can hold the state, and no other is read then.
const (
	formatFirst  = 1
	formatStates = 2
	headSize     = 1 + 4
	keySizeFirst = 4 + 1 + 1 + 8 + 8 + Size
	keySize      = keySizeFirst + 8
	maxBody      = 4 << 20
	maxTime      = 1 << 52 // ms since 1970
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("corrupt")
)

// WriteTo implements io.WriterTo.
func (r rings) WriteTo(w io.Writer) (int64, error) {
	format := r.format()
	b := make([]byte, headSize, 512)
	for _, purpose := range slices.Sorted(maps.Keys(r)) {
		b = append(b, byte(len(purpose)))
		b = append(b, purpose...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r[purpose])))
		for _, k := range r[purpose] {
			b = k.append(b, format)
		}
	}
	b[0] = format
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	n, err := w.Write(b)
	return int64(n), err
}

// format returns the first format that can hold the state.
func (r rings) format() byte {
	for _, keys := range r {
		if len(keys) != 1 || keys[0].signed != keys[0].created {
			return formatStates
		}
	}
	return formatFirst
}

func (k *key) append(b []byte, format byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, k.id)
	b = append(b, byte(k.state), 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.created))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.signed))
	if format != formatFirst {
		b = binary.LittleEndian.AppendUint64(b, uint64(k.ended))
	}
	return append(b, k.secret[:]...)
}

func readRings(r io.Reader) (rings, error) {
	format, body, err := readBody(r)
	if err == nil {
		var all rings
		if all, err = decodeRings(format, body); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("keyring: snapshot: %w", err)
}

func readBody(r io.Reader) (format byte, body []byte, err error) {
	head := make([]byte, headSize)
	if err := readFull(r, head[:1]); err != nil {
		return 0, nil, err
	}
	if head[0] != formatFirst && head[0] != formatStates {
		return 0, nil, fmt.Errorf("format %d, but this version of the program reads formats %d and %d only: %w",
			head[0], formatFirst, formatStates, fault.ErrVersion)
	}
	if err := readFull(r, head[1:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxBody {
		return 0, nil, errCorrupt
	}
	b := make([]byte, n+4)
	if err := readFull(r, b); err != nil {
		return 0, nil, err
	}
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b[:n])
	if sum != binary.LittleEndian.Uint32(b[n:]) {
		return 0, nil, fmt.Errorf("%w: checksum mismatch", errCorrupt)
	}
	return head[0], b[:n], nil
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func decodeRings(format byte, b []byte) (rings, error) {
	size := keySize
	if format == formatFirst {
		size = keySizeFirst
	}
	all, last := rings{}, ""
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+4 {
			return nil, errCorrupt
		}
		purpose, count := string(b[1:n]), binary.LittleEndian.Uint32(b[n:])
		b = b[n+4:]
		if purpose <= last || !validPurpose(purpose) || uint64(count) > uint64(len(b)/size) ||
			len(all) == maxPurposes {
			return nil, errCorrupt
		}
		keys := make([]*key, count)
		for i := range keys {
			var ok bool
			if keys[i], ok = decodeKey(format, b[:size]); !ok {
				return nil, errCorrupt
			}
			b = b[size:]
		}
		if !valid(keys) {
			return nil, errCorrupt
		}
		all[purpose], last = keys, purpose
	}
	if all.format() != format {
		return nil, errCorrupt // equal states are equal bytes
	}
	return all, nil
}

// decodeKey refuses a flag that only a later format could mean something by.
func decodeKey(format byte, b []byte) (*key, bool) {
	k := &key{
		id:      binary.LittleEndian.Uint32(b),
		state:   State(b[4]),
		created: int64(binary.LittleEndian.Uint64(b[6:])),
		signed:  int64(binary.LittleEndian.Uint64(b[14:])),
		secret:  Secret(b[len(b)-Size:]),
	}
	if format != formatFirst {
		k.ended = int64(binary.LittleEndian.Uint64(b[22:]))
	}
	return k, b[5] == 0 && k.valid()
}

// valid reports whether a key can be as it is. It refuses a state that only a later program knows.
func (k *key) valid() bool {
	for _, t := range []int64{k.created, k.signed, k.ended} {
		if t < 0 || t > 2*maxTime {
			return false
		}
	}
	if k.id == 0 || !k.state.live() && k.secret != (Secret{}) {
		return false
	}
	switch k.state {
	case Signing:
		return k.ended == 0
	case Pending:
		return k.ended == 0 && k.signed == 0
	case Accepting, Retired, Revoked:
		return true
	}
	return false
}

// valid reports whether keys can be those of one purpose.
func valid(keys []*key) bool {
	count, id := map[State]int{}, uint32(0)
	for _, k := range keys {
		if k.id <= id {
			return false
		}
		id = k.id
		count[k.state]++
	}
	pending := inState(keys, Pending)
	return count[Signing] == 1 && count[Pending] <= 1 && (pending == nil || pending.id > signingOf(keys).id) &&
		count[Signing]+count[Pending]+count[Accepting] <= maxLive && count[Retired]+count[Revoked] <= maxEnded
}
