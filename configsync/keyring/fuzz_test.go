package keyring

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Whatever a command says, the state stays one that a snapshot can hold, and what is refused changes nothing.
func FuzzApply(f *testing.F) {
	f.Add(ensure{"other", Secret{1}}.encode())
	for _, cmd := range commands {
		f.Add(cmd)
	}
	f.Add(rotate{"pins", 1, 0, Secret{2}}.encode())
	f.Add(activate{"session", 6, time.Minute, day}.encode())
	f.Add(revoke{"session", 5, 6, Secret{3}}.encode())
	f.Fuzz(func(t *testing.T, cmd []byte) {
		m := keysOfAllStates(t)
		before := snapshot(t, m)
		defer func() {
			err, _ := recover().(error)
			if err != nil && (!errors.Is(err, fault.ErrVersion) || 0 < cmd[0] && cmd[0] <= opHighest) {
				panic(err)
			}
		}()
		r, ok := decodeResult(m.Apply(9, epoch.Add(8*time.Hour), cmd))
		after := snapshot(t, m)
		if !ok || r.status != statusOK && !bytes.Equal(before, after) {
			t.Fatalf("a refused command changed the state, or was not answered: %+v", r)
		}
		if !bytes.Equal(snapshot(t, restored(t, after)), after) {
			t.Fatal("not the same after a round trip")
		}
	})
}

func FuzzRestore(f *testing.F) {
	m := NewMachine()
	f.Add(snapshot(f, m)[headSize:])
	m.Apply(1, epoch, ensure{"session", Secret{1}}.encode())
	m.Apply(1, epoch, ensure{"pins", Secret{2}}.encode())
	for _, m := range []*Machine{m, keysOfAllStates(f)} {
		whole := snapshot(f, m)
		f.Add(whole)
		f.Add(whole[headSize : len(whole)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := NewMachine()
		if m.Restore(bytes.NewReader(body)) == nil && !bytes.Equal(snapshot(t, m), body[:len(snapshot(t, m))]) {
			t.Fatal("not the same after a round trip")
		}
		for _, format := range []byte{formatFirst, formatStates} {
			all, err := decodeRings(format, body) // as behind a right checksum
			if err != nil {
				continue
			}
			var b bytes.Buffer
			if _, err := all.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes()[headSize:b.Len()-4], body) {
				t.Fatalf("%x became %x, %v", body, b.Bytes(), err)
			}
		}
	})
}

// Nothing that was not protected is taken for it, and nothing panics.
func FuzzUnprotect(f *testing.F) {
	farm := newFarm(1)
	if err := farm.ring(0).Ensure(f.Context(), "app"); err != nil {
		f.Fatal(err)
	}
	p := farm.ring(0).Purpose("app", "fuzz")
	protected, err := p.Protect([]byte("plain"), []byte("for alice"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(protected, []byte("for alice"))
	f.Add(protected[:Overhead], []byte(nil))
	f.Fuzz(func(t *testing.T, b, additional []byte) {
		plain, err := p.Unprotect(t.Context(), b, additional)
		if same := bytes.Equal(b, protected) && string(additional) == "for alice"; same != (err == nil) {
			t.Fatalf("%x: %q, %v", b, plain, err)
		}
		if err != nil && !errors.Is(err, ErrForged) && !errors.Is(err, ErrExpired) {
			t.Fatal(err)
		}
	})
}
