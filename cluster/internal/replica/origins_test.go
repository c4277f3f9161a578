package replica

import (
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A repeated registration fences off what the origin gave up before it, and never takes back what was fenced
// off.
func TestRegistrationsOnlyRaiseTheFloor(t *testing.T) {
	for _, level := range []byte{wire.LevelFirst, wire.LevelLevels, wire.LevelSafety} {
		f := newTestFSM(t, "a.1")
		if level > wire.LevelFirst {
			f.entry(append(wire.EntryHeader(wire.EntryLevel, 1), level))
		}
		register := func(floor uint64) {
			g := wire.Registration{Origin: 7, Server: "a.1", Boot: 1, Floor: floor}
			if a := f.entry(wire.AppendRegistration(wire.EntryHeader(wire.EntryRegister, 1),
				g)); len(a) != 1 || a[0].Code != wire.CodeOK {
				t.Fatal(a)
			}
		}
		register(1)
		register(4)
		register(2)
		a := f.commands(commandBatch(7, 3, 1, "append x 3"))[0]
		// below it, as older programs do
		if fenced := a.Code == wire.CodeStale; fenced != (level >= wire.LevelSafety) {
			t.Errorf("level %d: batch 3 after a registration that begins with 4: code %d", level, a.Code)
		}
		if a := f.commands(commandBatch(7, 4, 4, "append x 4"))[0]; a.Code != wire.CodeOK {
			t.Errorf("level %d: batch 4: code %d", level, a.Code)
		}
	}
}
