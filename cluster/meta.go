package cluster

import (
	"encoding/binary"
	"fmt"
)

// meta is what a node says of itself by gossip. memberlist carries at most 512 bytes of it.
type meta struct {
	minProtocol, maxProtocol byte // levels it works at: from the one in force in its farm to the highest it speaks
	durable                  bool
	leaving                  bool // it is stopping
	forGood                  bool // it is no member any more, and does not come back
	stopped                  bool // its Raft has ended, as a member
	second                   bool // its farm has had a second member
	role                     Role
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
	dst = appendString(appendString(appendString(dst, string(m.role)), m.cluster), m.incarnation)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, m.boot), m.start)
	dst = appendString(appendString(dst, m.name), m.version)
	dst = binary.AppendUvarint(dst, uint64(len(m.tags)))
	for _, k := range sortedKeys(m.tags) {
		dst = appendString(appendString(dst, k), m.tags[k])
	}
	return dst
}

func parseMeta(b []byte) (meta, error) {
	r := newReader(b)
	if f := r.byte(); f != metaFormat {
		return meta{}, fmt.Errorf("%w: member metadata of format %d", ErrVersion, f)
	}
	m := meta{minProtocol: r.byte(), maxProtocol: r.byte()}
	flags := r.byte()
	m.durable, m.leaving, m.second = flags&flagDurable != 0, flags&flagLeaving != 0, flags&flagSecond != 0
	m.stopped, m.forGood = flags&flagStopped != 0, flags&flagForGood != 0
	m.role, m.cluster, m.incarnation = Role(r.string()), r.string(), r.string()
	m.boot, m.start = r.uvarint(), r.uvarint()
	m.name, m.version = r.string(), r.string()
	n := r.count(2)
	m.tags = make(map[string]string, n)
	for range n {
		k := r.string()
		m.tags[k] = r.string()
	}
	if err := r.end(); err != nil {
		return meta{}, fmt.Errorf("member metadata: %w", err)
	}
	return m, nil
}
