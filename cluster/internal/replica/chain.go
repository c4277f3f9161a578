package replica

import (
	"encoding/binary"
	"hash/crc32"
	"sort"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// chain is a running hash over all that this copy of the state has applied, and what it answered: the index,
// term, type and data of each entry. It begins with the entry that puts wire.LevelSafety in force, so all
// replicas begin at the same one, and goes on over snapshots, which carry it. Two copies with different
// hashes at one index have applied, or answered, something different, then or before; they never come to be
// equal again.
type chain struct {
	sum     uint64
	last    []Point // a ring: the newest at next-1
	next    int
	scratch []byte // answers, to be hashed in one piece
}

// Point is what a hash was after the entry index; an index of 0 is none.
type Point struct {
	Index uint64
	Sum   uint64
}

// chainKept is for how many entries back a copy can say what its hash was. Who is behind by more is compared
// when it has caught up.
const chainKept = 4096

// begin starts the chain anew at an index.
func (c *chain) begin(index, sum uint64) {
	c.sum, c.last, c.next = sum, c.last[:0], 0
	c.keep(index)
}

// add takes in an entry that was applied, and its answers.
func (c *chain) add(l *raft.Log, answers []wire.Answer) {
	h := mix(c.sum, l.Index)
	h = mix(h, l.Term)
	h = mix(h, uint64(l.Type))
	h = mix(h, hashOf(l.Data))
	c.scratch = c.scratch[:0]
	for _, a := range answers {
		c.scratch = wire.AppendAnswer(c.scratch, a)
	}
	c.sum = mix(h, hashOf(c.scratch))
	if cap(c.scratch) > wire.MaxEntryBytes {
		c.scratch = nil // an entry with answers as large is rare
	}
	c.keep(l.Index)
}

func (c *chain) keep(index uint64) {
	p := Point{index, c.sum}
	if len(c.last) < chainKept {
		c.last = append(c.last, p)
		return
	}
	c.last[c.next%chainKept] = p
	c.next++
}

// at returns the newest point that is not beyond index; none if all are.
func (c *chain) at(index uint64) Point {
	n := len(c.last)
	i := sort.Search(n, func(i int) bool { return c.last[(c.next+i)%n].Index > index })
	if i == 0 {
		return Point{}
	}
	return c.last[(c.next+i-1)%n]
}

// Digest is a hash of 64 bits: CRC-32C beside CRC-32, for both of which processors have instructions. It
// finds faults, not forgeries: who could make one up is a member.
type Digest struct {
	c, i uint32
	size uint64
}

// Write takes in more bytes.
func (d *Digest) Write(p []byte) (int, error) {
	d.c = crc32.Update(d.c, castagnoli, p)
	d.i = crc32.Update(d.i, crc32.IEEETable, p)
	d.size += uint64(len(p))
	return len(p), nil
}

// Sum returns the hash of what was written.
func (d *Digest) Sum() uint64 { return mix(uint64(d.c)<<32|uint64(d.i), d.size) }

func hashOf(b []byte) uint64 {
	var d Digest
	d.Write(b)
	return d.Sum()
}

// mix returns a hash of two numbers; of one of them, if the other is fixed, it loses nothing.
func mix(h, v uint64) uint64 {
	h = (h ^ v) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// AppendPoint appends a point in the form that ReadPoint reads.
func AppendPoint(dst []byte, p Point) []byte {
	return binary.BigEndian.AppendUint64(binary.AppendUvarint(dst, p.Index), p.Sum)
}

// ReadPoint reads a point.
func ReadPoint(r *wire.Reader) Point { return Point{Index: r.Uvarint(), Sum: r.Uint64()} }
