package cluster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// meta is what a node says of itself by gossip. memberlist carries at most 512 bytes of it.
type meta struct {
	minProtocol, maxProtocol byte // levels it works at: from the one in force in its farm to the highest it speaks
	durable                  bool
	leaving                  bool   // it is stopping
	forGood                  bool   // it is no member any more, and does not come back
	stopped                  bool   // its Raft has ended, as a member
	second                   bool   // its farm has had a second member
	role                     string // a Role of cluster; "" may vote
	cluster                  string // cluster ID, "" if none yet
	incarnation              string
	boot                     uint64
	start                    uint64 // of the process, Unix ms: the newest of several with one NodeID is the one that runs
	name                     string
	version                  string
	tags                     map[string]string
}

const (
	metaFormat = 1

	maxMeta    = 512
	maxName    = 64
	maxVersion = 32
)

const (
	flagDurable = 1 << iota
	flagLeaving
	flagSecond
	flagStopped
	flagForGood // programs that do not know it take the node for one that stops
)

func (m *meta) append(dst []byte) []byte {
	var flags byte
	if m.durable {
		flags |= flagDurable
	}
	if m.leaving {
		flags |= flagLeaving
	}
	if m.second {
		flags |= flagSecond
	}
	if m.stopped {
		flags |= flagStopped
	}
	if m.forGood {
		flags |= flagForGood
	}
	dst = append(dst, metaFormat, m.minProtocol, m.maxProtocol, flags)
	dst = wire.AppendString(wire.AppendString(wire.AppendString(dst, m.role), m.cluster), m.incarnation)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, m.boot), m.start)
	dst = wire.AppendString(wire.AppendString(dst, m.name), m.version)
	dst = binary.AppendUvarint(dst, uint64(len(m.tags)))
	for _, k := range slices.Sorted(maps.Keys(m.tags)) {
		dst = wire.AppendString(wire.AppendString(dst, k), m.tags[k])
	}
	return dst
}

func parseMeta(b []byte) (meta, error) {
	r := wire.NewReader(b)
	if f := r.Byte(); f != metaFormat {
		return meta{}, fmt.Errorf("%w: member metadata of format %d", fault.ErrVersion, f)
	}
	m := meta{minProtocol: r.Byte(), maxProtocol: r.Byte()}
	flags := r.Byte()
	m.durable, m.leaving, m.second = flags&flagDurable != 0, flags&flagLeaving != 0, flags&flagSecond != 0
	m.stopped, m.forGood = flags&flagStopped != 0, flags&flagForGood != 0
	m.role, m.cluster, m.incarnation = r.Text(), r.Text(), r.Text()
	m.boot, m.start = r.Uvarint(), r.Uvarint()
	m.name, m.version = r.Text(), r.Text()
	n := r.Count(2)
	m.tags = make(map[string]string, n)
	for range n {
		k := r.Text()
		m.tags[k] = r.Text()
	}
	if err := r.End(); err != nil {
		return meta{}, fmt.Errorf("member metadata: %w", err)
	}
	return m, nil
}
