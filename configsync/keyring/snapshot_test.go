package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestSnapshot(t *testing.T) {
	a, b := NewMachine(), NewMachine()
	names := []string{"session", "pins", "a", "zz"}
	for i, p := range names {
		a.Apply(uint64(i), epoch, ensure{p, Secret{byte(p[0])}}.encode())
		p = names[len(names)-1-i]
		b.Apply(uint64(i), epoch, ensure{p, Secret{byte(p[0])}}.encode())
	}
	snap := snapshot(t, a)
	if !bytes.Equal(snap, snapshot(t, b)) {
		t.Error("the order of creation shows")
	}
	if snap[0] != formatFirst {
		t.Errorf("format %d, which older programs do not read", snap[0])
	}
	frozen := a.Snapshot()
	a.Apply(9, epoch, ensure{"later", Secret{}}.encode())
	var was bytes.Buffer
	if _, err := frozen.WriteTo(&was); err != nil || !bytes.Equal(was.Bytes(), snap) {
		t.Error("a snapshot changed after it was taken", err)
	}
	in := bytes.NewReader(append(bytes.Clone(snap), "what comes next"...))
	m := NewMachine()
	if err := m.Restore(iotest.OneByteReader(in)); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "what comes next" {
		t.Errorf("left %q", rest)
	}
	if _, key, ok := m.Current("pins"); !ok || key[0] != 'p' || !bytes.Equal(snapshot(t, m), snap) {
		t.Error("not the same after a round trip")
	}

	damage(t, m)
	if err := m.Restore(bytes.NewReader([]byte{3})); err == nil || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("a newer format: %v", err)
	}
	if !bytes.Equal(snapshot(t, m), snap) {
		t.Error("a refused snapshot changed the state")
	}
}

// damage checks that no snapshot of m that is not whole is accepted.
func damage(t *testing.T, m *Machine) {
	t.Helper()
	snap := snapshot(t, m)
	for n := range snap {
		if err := m.Restore(bytes.NewReader(snap[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
		for bit := range 8 {
			bad := bytes.Clone(snap)
			bad[n] ^= 1 << bit
			if err := m.Restore(bytes.NewReader(bad)); err == nil {
				t.Errorf("bit %d of byte %d flipped: no error", bit, n)
			}
		}
	}
}

var update = flag.Bool("update", false, "rewrite testdata/*.bin")

// keysOfAllStates returns a machine with keys in every state.
func keysOfAllStates(tb testing.TB) *Machine {
	m := NewMachine()
	do(tb, m, epoch, ensure{"pins", Secret{8}}.encode())
	do(tb, m, epoch, ensure{"session", Secret{1, 31: 2}}.encode())
	for id := uint32(1); id < 6; id++ {
		now := epoch.Add(time.Duration(id) * time.Hour)
		do(tb, m, now, rotate{"session", id, 0, Secret{byte(id), 31: 3}}.encode())
		if id < 5 {
			do(tb, m, now.Add(time.Minute), activate{"session", id + 1, 0, time.Duration(id) * time.Hour}.encode())
		}
	}
	do(tb, m, epoch.Add(6*time.Hour), revoke{"session", 2, 2, Secret{4}}.encode())
	do(tb, m, epoch.Add(6*time.Hour), retire{"session"}.encode())
	const want = "1 retired, 2 revoked, 3 accepting, 4 accepting, 5 signing, 6 pending"
	if got := keysOf(m, "session"); got != want {
		tb.Fatal(got)
	}
	return m
}

func TestSnapshotOfAllStates(t *testing.T) {
	m := keysOfAllStates(t)
	snap := snapshot(t, m)
	if again := restored(t, snap); snap[0] != formatStates || !bytes.Equal(snapshot(t, again), snap) ||
		!reflect.DeepEqual(again.List(), m.List()) {
		t.Errorf("format %d: not the same after a round trip", snap[0])
	}
	damage(t, m)
}

// What cannot be is refused, even if it is whole.
func TestSnapshotOfNonsense(t *testing.T) {
	k := func(id uint32, s State) *key { return &key{id: id, state: s} }
	accepting := func(n int) (keys []*key) {
		for i := range n {
			keys = append(keys, k(uint32(i+1), Accepting))
		}
		return append(keys, k(uint32(n+1), Signing))
	}
	retired := accepting(maxEnded + 1)
	for _, k := range retired[:maxEnded+1] {
		k.state = Retired
	}
	for name, keys := range map[string][]*key{
		"no keys":                  {},
		"none signs":               {k(1, Accepting), k(2, Pending)},
		"two sign":                 {k(1, Signing), k(2, Signing)},
		"two are pending":          {k(1, Signing), k(2, Pending), k(3, Pending)},
		"an older one is pending":  {k(1, Pending), k(2, Signing)},
		"no order":                 {k(2, Accepting), k(1, Signing)},
		"one id twice":             {k(1, Accepting), k(1, Signing)},
		"id 0":                     {k(0, Signing)},
		"a later state":            {k(1, Signing), k(2, 6)},
		"no state":                 {k(1, Signing), k(2, 0)},
		"ended with a secret":      {{id: 1, state: Revoked, secret: Secret{1}}, k(2, Signing)},
		"signs and has ended":      {k(1, Retired), {id: 2, state: Signing, ended: 1}},
		"pending and has signed":   {k(1, Signing), {id: 2, state: Pending, signed: 1}},
		"pending and has ended":    {k(1, Signing), {id: 2, state: Pending, ended: 1}},
		"a time before 1970":       {{id: 1, state: Signing, created: -1}},
		"a time beyond all others": {{id: 1, state: Signing, signed: 1 << 60}},
		"too many":                 accepting(maxLive),
		"too many that have ended": retired,
	} {
		var b bytes.Buffer
		if _, err := (rings{"session": keys}).WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if err := NewMachine().Restore(&b); !errors.Is(err, errCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, keys := range map[string][]*key{
		"most": accepting(maxLive - 1), "most that have ended": retired[1:],
	} {
		var b bytes.Buffer
		if _, err := (rings{"session": keys}).WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if err := NewMachine().Restore(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Equal states are equal bytes: what the first format can hold is in no other.
func TestSnapshotInAnotherFormatThanItsOwn(t *testing.T) {
	m := NewMachine()
	do(t, m, epoch, ensure{"session", Secret{1}}.encode())
	var body []byte
	body = append(body, 7)
	body = append(body, "session"...)
	body = binary.LittleEndian.AppendUint32(body, 1)
	body = (*m.rings.Load())["session"][0].append(body, formatStates)
	if _, err := decodeRings(formatStates, body); !errors.Is(err, errCorrupt) {
		t.Errorf("%v", err)
	}
}

// Logs and snapshots outlive the program that wrote them.
func TestFormatsStayReadable(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for cmd, want := range map[string]string{
		string(ensure{"session", Secret{1, 31: 2}}.encode()): "\x01\x07session\x01" + zeros(30) + "\x02",
		string(rotate{"a", 258, time.Second, Secret{1, 31: 2}}.encode()): "\x02\x01a\x02\x01\x00\x00" +
			"\xe8\x03" + zeros(6) +
			"\x01" + zeros(30) + "\x02",
		string(activate{"a", 2, time.Second, 2 * time.Second}.encode()): "\x03\x01a\x02\x00\x00\x00" +
			"\xe8\x03" + zeros(6) +
			"\xd0\x07" + zeros(6),
		string(retire{"a"}.encode()): "\x04\x01a",
		string(revoke{"a", 1, 2, Secret{1, 31: 2}}.encode()): "\x05\x01a\x01\x00\x00\x00\x02\x00\x00\x00\x01" +
			zeros(30) + "\x02",
		string(result{status: statusOK, id: 258}.encode()):              "\x01\x02\x01\x00\x00",
		string(result{status: statusMoved, id: 258}.encode()):           "\x04\x02\x01\x00\x00",
		string(result{status: statusEarly, wait: time.Second}.encode()): "\x05\xe8\x03" + zeros(6),
	} {
		if cmd != want {
			t.Errorf("%q, want %q", cmd, want)
		}
	}
	first := NewMachine()
	first.Apply(1, epoch, ensure{"session", Secret{1, 31: 2}}.encode())
	first.Apply(2, epoch.Add(time.Hour), ensure{"pins", Secret{3}}.encode())
	for file, m := range map[string]*Machine{
		"testdata/snapshot.bin": first, "testdata/states.bin": keysOfAllStates(t),
	} {
		if *update {
			if err := os.WriteFile(file, snapshot(t, m), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(old, snapshot(t, m)) || !bytes.Equal(snapshot(t, restored(t, old)), old) {
			t.Errorf("%s: a snapshot of an earlier version is not what it was", file)
		}
	}
}
