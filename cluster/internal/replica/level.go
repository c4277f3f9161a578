package replica

import (
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// levelLocked applies the entry that raises the level.
func (st *State) levelLocked(r *wire.Reader) error {
	level := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	if level > uint64(st.conf.MaxLevel) {
		return TooOld(level, st.conf.MaxLevel)
	}
	st.level.Store(max(st.level.Load(), uint32(level)))
	return nil
}

// Level returns the level that the entries applied so far have put in force.
func (st *State) Level() byte { return byte(max(st.level.Load(), wire.LevelFirst)) }

// taking returns the names of the machines that have a part in the state by now, sorted: no command of the
// others is in the log, and a program that lacks them must be able to read a snapshot.
func (st *State) taking() []string {
	level := int(st.Level())
	return slices.DeleteFunc(slices.Clone(st.names),
		func(name string) bool { return st.conf.Since[name] > level })
}

// Raise keeps the protocol level in force from falling: a backup may be older than the present one, and nodes
// that spoke only what it had were let go since.
func (st *State) Raise(level byte) {
	st.work.Lock()
	defer st.work.Unlock()
	st.level.Store(max(st.level.Load(), uint32(level)))
}

// TooOld says that a program cannot work at a level.
func TooOld(level uint64, speaks byte) error {
	return fmt.Errorf("%w: the farm works at protocol level %d, and this program speaks %d to %d",
		fault.ErrVersion, level,
		wire.ProtocolMin, speaks)
}
