package state

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// FuzzApply gives a machine with something in it any bytes. It must answer, or panic for an unknown op code alone, and
// stay a machine.
func FuzzApply(f *testing.F) {
	key := keyOf(1)
	for _, c := range []command{
		create(keyOf(9), "a", "1"), Write{key, entries("b", "2"), []string{"a"}}, CAS{key, "a", 1, []byte("2")},
		Take{key, "a"}, Destroy{key}, Touch{[]Key{key, keyOf(2)}}, Tick{1}, SetLimits{DefaultLimits()},
		Renew{key, keyOf(9), entries("b", "2"), []string{"a"}}, Renew{Key: key, New: keyOf(2)}, ChangeLimits{0, withTotal(1 << 30)},
	} {
		f.Add(c.Append(nil))
	}
	f.Add([]byte{opWrite})
	f.Add([]byte{77})
	f.Fuzz(func(t *testing.T, cmd []byte) {
		r := newRig(t)
		r.apply(create(key, "a", "1", "c", "3"))
		r.apply(create(keyOf(2)))
		before := snapshot(t, r.Machine)
		twin := restored(t, before)
		defer func() {
			if err, _ := recover().(error); err != nil && (!errors.Is(err, fault.ErrVersion) || known(cmd[0])) {
				panic(err)
			}
		}()
		now := epoch.Add(time.Second)
		answer := r.Apply(3, now, cmd)
		result, err := DecodeResult(answer)
		if err != nil {
			t.Fatal(err)
		}
		if other := twin.Apply(3, now, cmd); !bytes.Equal(other, answer) {
			t.Fatalf("answers %x and %x", answer, other)
		}
		after := snapshot(t, r.Machine)
		if !bytes.Equal(after, snapshot(t, twin)) {
			t.Fatal("two copies differ")
		}
		restored(t, after).table.Load().check(t)
		r.table.Load().check(t)
		if result.Status == Malformed {
			same := restored(t, before)
			same.Apply(3, now, nil) // malformed too: moves time and index, nothing else
			if !bytes.Equal(snapshot(t, same), after) {
				t.Fatal("a malformed command changed something")
			}
		}
	})
}

// FuzzRestore damages whole streams.
func FuzzRestore(f *testing.F) {
	f.Add(snapshot(f, New()))
	f.Add(snapshot(f, filled(f, 12).Machine))
	f.Add([]byte{format, 0xff, 0xff, 0xff, 0xff})
	limited := filled(f, 12)
	limited.apply(ChangeLimits{Limits: withTotal(1 << 20)})
	f.Add(snapshot(f, limited.Machine))
	f.Fuzz(fuzzRestore)
}

// FuzzRestoreItems damages what is inside the blocks, behind right checksums.
func FuzzRestoreItems(f *testing.F) {
	header := newTable().appendHeader(nil)
	s := session{created: 5, seen: 5, idle: 1, absolute: 1, values: blob(nil).append([]byte("a"), 1, []byte("x"))}
	f.Add(header, append(keyBytes(1), s.append(nil)...), append(keyBytes(2), 9))
	f.Add(header, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, header, session, grave []byte) {
		if len(header) > maxBlock || len(session) > maxBlock || len(grave) > maxBlock {
			return
		}
		fuzzRestore(t, stream(header, nonEmpty(session), nonEmpty(grave)))
	})
}

func nonEmpty(item []byte) [][]byte {
	if len(item) == 0 {
		return nil
	}
	return [][]byte{item}
}

// fuzzRestore wants an error, or a machine that works and writes the same again.
func fuzzRestore(t *testing.T, stream []byte) {
	m := New()
	in := bytes.NewReader(stream)
	if m.Restore(in) != nil {
		if m.Len() != 0 || m.Applied() != 0 {
			t.Fatal("a refused snapshot left something behind")
		}
		return
	}
	m.table.Load().check(t)
	first := snapshot(t, m)
	if again := snapshot(t, restored(t, first)); !bytes.Equal(again, first) {
		t.Fatal("not the same after a round trip")
	}
	m.Apply(m.Applied()+1, epoch, create(keyOf(1), "a", "1").Append(nil))
	m.Apply(m.Applied()+1, epoch.Add(time.Hour), Tick{}.Append(nil))
	m.table.Load().check(t)
}

// FuzzDecodeFetched wants an error, or a record that can be read and is encoded as it came.
func FuzzDecodeFetched(f *testing.F) {
	r := newRig(f)
	r.apply(create(keyOf(1), "a", "1", "b", ""))
	r.apply(create(keyOf(2)))
	r.apply(Destroy{keyOf(2)})
	for i := range 4 {
		f.Add(r.Query(Fetch{keyOf(i)}.Append(nil)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeFetched(b)
		if err != nil {
			return
		}
		for name := range got.Record.Names() {
			if _, version, ok := got.Record.Value(name); !ok || version == 0 {
				t.Fatalf("%q is named, but not there", name)
			}
		}
		if again := got.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	f.Add(Result{Status: Conflict, Found: true, Version: 300, Value: []byte("x")}.Append(nil))
	f.Add(Result{Status: OK, More: true, Count: 1000}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeResult(b); err == nil && !bytes.Equal(r.Append(nil), b) {
			t.Fatalf("%x became %x", b, r.Append(nil))
		}
	})
}
