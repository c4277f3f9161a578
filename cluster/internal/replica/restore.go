package replica

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Snapshot freezes the state. It does not write anything yet.
func (st *State) Snapshot() (raft.FSMSnapshot, error) {
	s, _, err := st.Freeze()
	if err != nil {
		return nil, err
	}
	st.bytes.Store(0)
	st.entries.Store(0)
	return s, nil
}

// Restore replaces the whole state, at one moment: machines made anew take it up, and take the place of the
// others when all of it is there. Until then, and if it fails, the state is what it was. Waiters whose index
// the snapshot covers are released.
func (st *State) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	began := time.Now()
	index, err := st.restore(rc)
	switch {
	case errors.Is(err, fault.ErrVersion), errors.Is(err, wire.ErrMachine):
		st.haltBy(err)
		return err
	case errors.Is(err, errRefused):
		st.conf.Refused(err)
		return err
	case err != nil:
		return err
	}
	st.conf.Advanced(index)
	st.conf.Restored(time.Since(began))
	return nil
}

func (st *State) restore(src io.Reader) (index uint64, err error) {
	st.work.Lock()
	defer st.work.Unlock()
	defer recovered(&err)
	r := newSnapshotReader(src)
	h, err := r.header()
	if err == nil && h.Level > uint64(st.conf.MaxLevel) {
		err = TooOld(h.Level, st.conf.MaxLevel)
	}
	if err != nil {
		return 0, err
	}
	next := st.conf.Machines()
	for range h.machines {
		if err := restoreNext(r, next); err != nil {
			return 0, err
		}
	}
	if err := r.end(); err != nil {
		return 0, err
	}
	st.configuration, st.configuredAt = raft.Configuration{}, 0
	st.change(func() {
		st.machines.Store(&next)
		st.becomeLocked(h)
	})
	st.bytes.Store(0)
	st.entries.Store(0)
	return h.index, nil
}

// becomeLocked takes over what a snapshot says of the farm; its machines are restored.
func (st *State) becomeLocked(h snapshotHeader) {
	st.index, st.stamp, st.servers, st.origins, st.expect = h.index, h.Stamp, h.Servers, h.origins, h.expect
	st.formed.Store(h.formed)
	st.second.Store(h.second)
	st.level.Store(uint32(h.Level))
	if st.chain = (chain{}); h.Level >= wire.LevelSafety {
		st.chain.begin(h.index, h.chain)
	}
}

func restoreNext(r *snapshotReader, machines map[string]Machine) error {
	name, body, err := r.next()
	if err != nil {
		return err
	}
	m := machines[name]
	if m == nil {
		return fmt.Errorf("%w: a snapshot has a state machine called %q", fault.ErrVersion, name)
	}
	source := &errorKeeper{r: body}
	if err := m.Restore(source); err != nil {
		if source.err == nil {
			return fmt.Errorf("snapshot of %q: %w: %w", name, errRefused, err)
		}
		return fmt.Errorf("snapshot of %q: %w", name, err)
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

// errRefused says that a snapshot is whole, and a machine does not take it up.
var errRefused = errors.New("the state machine refuses it")

// errorKeeper keeps the error by which reading failed.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}
