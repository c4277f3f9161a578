package cluster

import (
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// levelLocked applies the entry that raises the level.
func (f *fsm) levelLocked(r *wire.Reader) error {
	level := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	if level > uint64(f.conf.maxLevel) {
		return errTooOld(level, f.conf.maxLevel)
	}
	f.level.Store(max(f.level.Load(), uint32(level)))
	return nil
}

// levelInForce returns the level that the entries applied so far have put in force.
func (f *fsm) levelInForce() byte { return byte(max(f.level.Load(), wire.LevelFirst)) }

// taking returns the names of the machines that have a part in the state by now, sorted: no command of the others is in
// the log, and a program that lacks them must be able to read a snapshot.
func (f *fsm) taking() []string {
	level := int(f.levelInForce())
	return slices.DeleteFunc(slices.Clone(f.names), func(name string) bool { return f.conf.since[name] > level })
}

// raise keeps the protocol level in force from falling: a backup may be older than the present one, and nodes that spoke
// only what it had were let go since.
func (f *fsm) raise(level byte) {
	f.work.Lock()
	defer f.work.Unlock()
	f.level.Store(max(f.level.Load(), uint32(level)))
}

// errTooOld says that a program cannot work at a level.
func errTooOld(level uint64, speaks byte) error {
	return fmt.Errorf("%w: the farm works at protocol level %d, and this program speaks %d to %d", fault.ErrVersion, level,
		wire.ProtocolMin, speaks)
}
