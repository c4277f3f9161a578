package keyring

import (
	"fmt"
	"io"
	"maps"
	"sync/atomic"
	"time"
)

// Machine is the replicated state: the keys of every purpose. Apply, Snapshot and Restore are for one goroutine, one at
// a time; every other method, and the WriterTo that Snapshot returned, may run beside them. Reads take no lock.
type Machine struct {
	rings atomic.Pointer[rings] // replaced, never edited
}

// rings holds the keys by purpose, each purpose's in ascending order of id. There is at least one of each.
type rings map[string][]*key

// Format writes what it is, but not what is in it: fmt looks into types that do not say how they want to be shown.
func (rings) Format(f fmt.State, _ rune) { io.WriteString(f, "keyring snapshot") }

// key is one key in its final form. It never changes.
type key struct {
	id      uint32
	state   keyState
	created int64 // ms since 1970 of the log's time
	secret  Secret
}

// keyState says what a key is good for.
type keyState byte

const signing keyState = 1 // it signs, and what it signed is accepted

// NewMachine returns a machine without keys.
func NewMachine() *Machine {
	m := new(Machine)
	m.rings.Store(&rings{})
	return m
}

// Format writes what it is, but not what is in it.
func (m *Machine) Format(f fmt.State, _ rune) { io.WriteString(f, "keyring") }

// Apply carries out one command. It panics with an UnknownCommandError, having changed nothing, when the command is none
// it knows.
func (m *Machine) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if len(cmd) == 0 {
		return answer(statusMalformed, 0)
	}
	if cmd[0] != opEnsure {
		panic(UnknownCommandError{Op: cmd[0], Index: index})
	}
	c, ok := decodeEnsure(cmd[1:])
	if !ok {
		return answer(statusMalformed, 0)
	}
	return answer(m.ensure(c, max(0, now.UnixMilli())))
}

// ensure returns the id of the purpose's first key, whoever offered it.
func (m *Machine) ensure(c ensure, now int64) (status, uint32) {
	old := *m.rings.Load()
	if keys, ok := old[c.purpose]; ok {
		return statusOK, keys[0].id
	}
	if len(old) >= maxPurposes {
		return statusFull, 0
	}
	next := maps.Clone(old)
	next[c.purpose] = []*key{{id: 1, state: signing, created: now, secret: c.secret}}
	m.rings.Store(&next)
	return statusOK, 1
}

// Query answers nothing: keys do not travel that way.
func (m *Machine) Query([]byte) []byte { return nil }

// Current returns the key that signs now. The slice must not be modified.
func (m *Machine) Current(purpose string) (id uint32, secret []byte, ok bool) {
	keys := (*m.rings.Load())[purpose]
	for i := len(keys) - 1; i >= 0; i-- {
		if k := keys[i]; k.state == signing {
			return k.id, k.secret[:], true
		}
	}
	return 0, nil, false
}

// Key returns the key of that id. The slice must not be modified.
func (m *Machine) Key(purpose string, id uint32) (secret []byte, ok bool) {
	for _, k := range (*m.rings.Load())[purpose] {
		if k.id == id {
			return k.secret[:], true
		}
	}
	return nil, false
}

// Snapshot returns the state as it is now. Equal states are written as equal bytes.
func (m *Machine) Snapshot() io.WriterTo { return *m.rings.Load() }

// Restore replaces the state by what a Snapshot wrote. It reads not a byte further than that. After an error the state
// is what it was.
func (m *Machine) Restore(r io.Reader) error {
	next, err := readRings(r)
	if err != nil {
		return err
	}
	m.rings.Store(&next)
	return nil
}
