package cluster

import (
	"fmt"
	"io"
)

// WriteSnapshot writes the whole replicated state as this node has it - every state machine, and what makes proposals
// happen once - to w, and returns the index of the last entry in it. The state is frozen at one moment and written while
// the log goes on. Nodes that have applied the same entries write the same bytes.
func (n *Node) WriteSnapshot(w io.Writer) (index uint64, err error) {
	s, index, err := n.local.Load().freeze()
	if err == nil {
		err = s.write(w)
	}
	if err != nil {
		return 0, fmt.Errorf("cluster: snapshot: %w", err)
	}
	return index, nil
}

// freeze returns the state as it is now, and its index. It keeps out of the way of Apply and Restore, which state machines
// expect.
func (f *fsm) freeze() (s *snapshot, index uint64, err error) {
	f.work.Lock()
	defer f.work.Unlock()
	defer recovered(&err)
	if f.halted.Load() || f.torn {
		return nil, 0, errStopped
	}
	return f.frozenLocked(), f.index, nil
}

// haltBy ends this copy of the state, for what happened beside Apply.
func (f *fsm) haltBy(err error) {
	if f.halted.CompareAndSwap(false, true) {
		f.halt(err)
	}
}

func (f *fsm) frozenLocked() *snapshot {
	names := f.taking()
	s := &snapshot{magic: magicOf(f.levelInForce()), header: appendSnapshotHeader(nil, f, len(names)), names: names,
		halt: f.haltBy}
	for _, name := range names {
		s.machines = append(s.machines, f.machines[name].Snapshot())
	}
	return s
}
