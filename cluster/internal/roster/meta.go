package roster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Meta is what a node says of itself by gossip. memberlist carries at most 512 bytes of it.
type Meta struct {
	// levels it works at: from the one in force in its farm to the highest it speaks
	MinProtocol, MaxProtocol byte
	Durable                  bool
	Retiring                 bool   // it will stop soon, and takes part until then
	Leaving                  bool   // it is stopping
	ForGood                  bool   // it is no member any more, and does not come back
	Stopped                  bool   // its Raft has ended, as a member
	Goodbye                  bool   // its part in the farm has ended, and its process is about to
	Second                   bool   // its farm has had a second member
	Role                     string // a Role of cluster; "" may vote
	Cluster                  string // cluster ID, "" if none yet
	Incarnation              string
	Boot                     uint64
	// of the process, Unix ms: the newest of several with one NodeID is the one that runs
	Start   uint64
	Name    string
	Version string
	Tags    map[string]string
}

// How long metadata, and a name and a version in it, may be: bytes.
const (
	metaFormat = 1

	MaxMeta    = 512
	MaxName    = 64
	MaxVersion = 32
)

const (
	flagDurable = 1 << iota
	flagLeaving
	flagSecond
	flagStopped
	flagForGood  // programs that do not know it take the node for one that stops
	flagRetiring // programs that do not know it learn of the stop when it comes
	flagGoodbye  // programs that do not know it take the end of one that stops for certain
)

// Append appends the metadata in the form that ReadMeta reads.
func (m *Meta) Append(dst []byte) []byte {
	var flags byte
	if m.Durable {
		flags |= flagDurable
	}
	if m.Leaving {
		flags |= flagLeaving
	}
	if m.Second {
		flags |= flagSecond
	}
	if m.Stopped {
		flags |= flagStopped
	}
	if m.ForGood {
		flags |= flagForGood
	}
	if m.Retiring {
		flags |= flagRetiring
	}
	if m.Goodbye {
		flags |= flagGoodbye
	}
	dst = append(dst, metaFormat, m.MinProtocol, m.MaxProtocol, flags)
	dst = wire.AppendString(wire.AppendString(wire.AppendString(dst, m.Role), m.Cluster), m.Incarnation)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, m.Boot), m.Start)
	dst = wire.AppendString(wire.AppendString(dst, m.Name), m.Version)
	dst = binary.AppendUvarint(dst, uint64(len(m.Tags)))
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		dst = wire.AppendString(wire.AppendString(dst, k), m.Tags[k])
	}
	return dst
}

// ReadMeta reads metadata. An unknown format is fault.ErrVersion.
func ReadMeta(b []byte) (Meta, error) {
	r := wire.NewReader(b)
	if f := r.Byte(); f != metaFormat {
		return Meta{}, fmt.Errorf("%w: member metadata of format %d", fault.ErrVersion, f)
	}
	m := Meta{MinProtocol: r.Byte(), MaxProtocol: r.Byte()}
	flags := r.Byte()
	m.Durable, m.Leaving, m.Second = flags&flagDurable != 0, flags&flagLeaving != 0, flags&flagSecond != 0
	m.Stopped, m.ForGood, m.Retiring = flags&flagStopped != 0, flags&flagForGood != 0, flags&flagRetiring != 0
	m.Goodbye = flags&flagGoodbye != 0
	m.Role, m.Cluster, m.Incarnation = r.Text(), r.Text(), r.Text()
	m.Boot, m.Start = r.Uvarint(), r.Uvarint()
	m.Name, m.Version = r.Text(), r.Text()
	n := r.Count(2)
	m.Tags = make(map[string]string, n)
	for range n {
		k := r.Text()
		m.Tags[k] = r.Text()
	}
	if err := r.End(); err != nil {
		return Meta{}, fmt.Errorf("member metadata: %w", err)
	}
	return m, nil
}
