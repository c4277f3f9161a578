package state

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/wire"
)

// Everything below is written and read with these few primitives: single bytes, 16-byte keys, unsigned varints, and
// byte strings preceded by their length.

func appendBytes[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendMillis writes d in whole milliseconds. Negative durations are written as zero, which no command accepts.
func appendMillis(dst []byte, d time.Duration) []byte {
	return binary.AppendUvarint(dst, uint64(max(0, d.Milliseconds())))
}

// maxMillis bounds every duration and time that is accepted, so that sums of two never overflow.
const maxMillis = math.MaxInt64 / int64(time.Millisecond)

// decoder reads one message, and what else is in those of this package.
type decoder struct{ wire.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{wire.NewDecoder(b)} }

// millis reads a duration or a point of time in milliseconds.
func (d *decoder) millis() int64 { return int64(d.UintTo(uint64(maxMillis))) }

// bytes returns a part of the message itself, not a copy.
func (d *decoder) bytes() []byte { return d.Bytes(math.MaxInt) }

func (d *decoder) key() Key { return Key(d.Take(len(Key{}))) }

// count reads the number of items that follow, each at least size bytes long.
func (d *decoder) count(size int) int { return d.Count(math.MaxInt, size) }
