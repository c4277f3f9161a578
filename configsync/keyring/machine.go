package keyring

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Machine is the replicated state: the keys of every purpose. Apply, Snapshot and Restore are for one
// goroutine, one at a time; every other method, and the WriterTo that Snapshot returned, may run beside them.
// Reads take no lock.
type Machine struct {
	rings atomic.Pointer[rings] // replaced, never edited
}

// rings holds the keys by purpose, each purpose's in ascending order of id. There is at least one of each,
// and just one that signs.
type rings map[string][]*key

// Format writes what it is, but not what is in it: fmt looks into types that do not say how they want to be
// shown.
func (rings) Format(f fmt.State, _ rune) { io.WriteString(f, "keyring snapshot") }

// NewMachine returns a machine without keys.
func NewMachine() *Machine {
	m := new(Machine)
	m.rings.Store(&rings{})
	return m
}

// Format writes what it is, but not what is in it.
func (m *Machine) Format(f fmt.State, _ rune) { io.WriteString(f, "keyring") }

// Apply carries out one command. It panics with a fault.UnknownCommandError, having changed nothing, when the
// command is none it knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if len(cmd) == 0 {
		return result{status: statusMalformed}.encode()
	}
	if cmd[0] == 0 || cmd[0] > opHighest {
		panic(fault.UnknownCommandError{Machine: "keyring", Op: cmd[0], Index: index})
	}
	return m.apply(min(max(0, now.UnixMilli()), maxTime), cmd[0], newDecoder(cmd[1:])).encode()
}

func (m *Machine) apply(now int64, op byte, d *decoder) result {
	purpose := d.purpose()
	var do func(t *turn) result
	switch op {
	case opEnsure:
		do = ensure{purpose, d.secret()}.do
	case opRotate:
		do = rotate{purpose, d.id(), d.duration(), d.secret()}.do
	case opActivate:
		do = activate{purpose, d.id(), d.duration(), d.duration()}.do
	case opRetire:
		do = retire{purpose}.do
	case opRevoke:
		do = revoke{purpose, d.id(), d.id(), d.secret()}.do
	}
	if !d.Done() {
		return result{status: statusMalformed}
	}
	old := *m.rings.Load()
	if len(old[purpose]) == 0 && op != opEnsure {
		return result{status: statusNoKey}
	}
	t := &turn{now: now, keys: slices.Clone(old[purpose]), room: len(old) < maxPurposes}
	r := do(t)
	if t.changed {
		next := maps.Clone(old)
		next[purpose] = t.keys
		m.rings.Store(&next)
	}
	return r
}

// Query answers nothing: keys do not travel that way.
func (m *Machine) Query([]byte) []byte { return nil }

// Current returns the key that signs now. The slice must not be modified.
func (m *Machine) Current(purpose string) (id uint32, secret []byte, ok bool) {
	if k := signingOf((*m.rings.Load())[purpose]); k != nil {
		return k.id, k.secret[:], true
	}
	return 0, nil, false
}

// Key returns the key of that id, if what it signed is accepted. The slice must not be modified.
func (m *Machine) Key(purpose string, id uint32) (secret []byte, ok bool) {
	keys := (*m.rings.Load())[purpose]
	for i := len(keys) - 1; i >= 0; i-- { // nearly always one of the last
		if k := keys[i]; k.id == id {
			return k.secret[:], k.state.live()
		}
	}
	return nil, false
}

// Newest returns the id of the newest key of a purpose, whatever has become of it; 0 if there never was one.
func (m *Machine) Newest(purpose string) uint32 { return newestOf((*m.rings.Load())[purpose]) }

// List describes all keys, by purpose and id, those that have ended lately included.
func (m *Machine) List() (all []Info) {
	rings := *m.rings.Load()
	for _, purpose := range slices.Sorted(maps.Keys(rings)) {
		for _, k := range rings[purpose] {
			all = append(all, k.info(purpose))
		}
	}
	return all
}

// Snapshot returns the state as it is now. Equal states are written as equal bytes.
func (m *Machine) Snapshot() io.WriterTo { return *m.rings.Load() }

// Restore replaces the state by what a Snapshot wrote. It reads not a byte further than that. After an error
// the state is what it was.
func (m *Machine) Restore(r io.Reader) error {
	next, err := readRings(r)
	if err != nil {
		return err
	}
	m.rings.Store(&next)
	return nil
}
