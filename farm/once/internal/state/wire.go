package state

import (
	"encoding/binary"
	"math"

	"github.com/seed48eb2e21/webfarm/internal/wire"
)

// Commands, answers and snapshots are written with these few primitives: single bytes, unsigned varints, and
// strings preceded by their length.

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendMillis(dst []byte, ms int64) []byte { return appendUint(dst, uint64(max(0, ms))) }

func appendText(dst []byte, s string) []byte { return append(appendUint(dst, uint64(len(s))), s...) }

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// maxMillis bounds every time that is accepted, so that sums of two never overflow.
const maxMillis = math.MaxInt64 / 1024

// decoder reads one message, and what else is in those of this package.
type decoder struct{ wire.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{wire.NewDecoder(b)} }

// millis reads a duration or a point of time in milliseconds.
func (d *decoder) millis() int64 { return int64(d.UintTo(uint64(maxMillis))) }

// name reads a text that is not empty.
func (d *decoder) name() string {
	s := d.Text(MaxName)
	d.Check(s != "")
	return s
}

// count reads the number of items that follow, each at least size bytes long.
func (d *decoder) count(size int) int { return d.Count(math.MaxInt, size) }
