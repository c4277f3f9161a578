package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// apps returns two nodes of a farm that has a key for "app".
func apps(t testing.TB) (f *farm, a, b *Ring) {
	t.Helper()
	f = newFarm(2)
	a, b = f.ring(0), f.ring(1)
	if err := a.Ensure(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	return f, a, b
}

func TestProtect(t *testing.T) {
	ctx := t.Context()
	_, a, b := apps(t)
	here, there := a.Purpose("app", "invitations"), b.Purpose("app", "invitations")
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long"), 10000)} {
		for _, additional := range [][]byte{nil, []byte("for alice")} {
			p, err := here.Protect(plain, additional)
			if err != nil || len(p) != len(plain)+Overhead {
				t.Fatalf("%d bytes became %d: %v", len(plain), len(p), err)
			}
			if got, err := there.Unprotect(ctx, p, additional); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes: %v", len(plain), err)
			}
			again, _ := here.Protect(plain, additional)
			if bytes.Equal(again[5:], p[5:]) || bytes.Equal(again[protectHead:], p[protectHead:]) {
				t.Error("protected twice, it looks the same")
			}
		}
	}
}

func TestUnprotectErrors(t *testing.T) {
	ctx := t.Context()
	_, a, b := apps(t)
	p := a.Purpose("app", "invitations")
	whole, err := p.Protect([]byte("plain"), []byte("alice"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := p.Unprotect(ctx, whole[:n], []byte("alice")); !errors.Is(err, ErrForged) {
			t.Errorf("cut at %d: %v", n, err)
		}
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[n] ^= 1 << bit
			want := ErrForged
			if tag := n - 5; 0 <= tag && tag < tagSize {
				want = ErrExpired // as if of a key that this farm had before it was restored from a backup
			}
			if _, err := p.Unprotect(ctx, bad, []byte("alice")); !errors.Is(err, want) {
				t.Errorf("bit %d of byte %d flipped: %v, want %v", bit, n, err, want)
			}
		}
	}
	for name, other := range map[string]*Purpose{
		"another purpose": a.Purpose("app", "invitation"), "no label": a.Purpose("app"),
		"more labels": a.Purpose("app", "invitations", ""), "another split": a.Purpose("app", "invit", "ations"),
	} {
		if _, err := other.Unprotect(ctx, whole, []byte("alice")); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, additional := range []string{"", "alic", "alice ", "bob"} {
		if _, err := p.Unprotect(ctx, whole, []byte(additional)); !errors.Is(err, ErrForged) {
			t.Errorf("for %q: %v", additional, err)
		}
	}
	if _, err := p.Unprotect(ctx, append(bytes.Clone(whole), 0), []byte("alice")); !errors.Is(err, ErrForged) {
		t.Errorf("with a byte more: %v", err)
	}
	_, other, _ := apps(t)
	there := other.Purpose("app", "invitations")
	if _, err := there.Unprotect(ctx, whole, []byte("alice")); !errors.Is(err, ErrExpired) {
		t.Errorf("in another farm: %v", err)
	}
	if _, err := newFarm(1).ring(0).Purpose("app").Protect(nil, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("protect without a key: %v", err)
	}
	if _, err := newFarm(1).ring(0).Purpose("app").Unprotect(ctx, whole, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("unprotect without a key: %v", err)
	}
	if _, err := a.Revoke(ctx, "app", 1, 1); err != nil {
		t.Fatal(err)
	}
	there = b.Purpose("app", "invitations")
	if _, err := there.Unprotect(ctx, whole, []byte("alice")); !errors.Is(err, ErrExpired) {
		t.Errorf("revoked: %v", err)
	}
}

// What a key has protected that this node lacks is "not yet", never "forged", as long as it cannot ask.
func TestUnprotectBehind(t *testing.T) {
	ctx := t.Context()
	f, a, b := apps(t)
	f.nodes[1].setCut(true)
	if _, err := a.Revoke(ctx, "app", 1, 1); err != nil {
		t.Fatal(err)
	}
	p, err := a.Purpose("app").Protect([]byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Purpose("app").Unprotect(ctx, p, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("cut off: %v", err)
	}
	f.nodes[1].slow = true
	f.nodes[1].setCut(false)
	if got, err := b.Purpose("app").Unprotect(ctx, p, nil); err != nil || string(got) != "plain" {
		t.Errorf("in contact again: %q, %v", got, err)
	}
}

// A farm that goes back to a backup has lost the keys that came later. What they protected cannot be read any
// more, and is told from a forgery once other keys have their ids.
func TestAfterARestore(t *testing.T) {
	ctx := t.Context()
	f, a, b := apps(t)
	old, err := a.Purpose("app").Protect([]byte("old"), nil)
	if err != nil {
		t.Fatal(err)
	}
	backup := snapshot(t, f.nodes[0].machine)
	rotated := func() {
		t.Helper()
		id, err := a.Rotate(ctx, "app", 1)
		if err := errors.Join(err, a.Proceed(ctx, "app", id, day)); err != nil {
			t.Fatal(err)
		}
	}
	rotated()
	lost, err := b.Purpose("app").Protect([]byte("lost"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range f.nodes {
		n.machine = restored(t, backup)
	}
	if got, err := b.Purpose("app").Unprotect(ctx, old, nil); err != nil || string(got) != "old" {
		t.Errorf("of the backup: %q, %v", got, err)
	}
	if _, err := b.Purpose("app").Unprotect(ctx, lost, nil); !errors.Is(err, ErrForged) {
		t.Errorf("of a key that is in no log any more: %v", err)
	}
	rotated()
	if _, err := b.Purpose("app").Unprotect(ctx, lost, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("of a key whose id another one has: %v", err)
	}
}

// What was protected outlives the program that did it, and so do sub-keys.
func TestProtectStaysReadable(t *testing.T) {
	f := newFarm(1)
	if _, _, err := f.nodes[0].Propose(t.Context(), ensure{"app", Secret{1, 31: 2}}.encode()); err != nil {
		t.Fatal(err)
	}
	p := f.ring(0).Purpose("app", "invitations", "v2")
	old, err := hex.DecodeString("0100000001602529546d9ca5f796bb74485c86cd9c5a5f3cbb51d3ddff27" +
		"6281c0b98dfbf0e771e2ca68bb33ba55")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Unprotect(t.Context(), old, []byte("alice")); err != nil || string(got) != "plain" {
		b, _ := p.Protect([]byte("plain"), []byte("alice"))
		t.Errorf("%q, %v; now it would be %x", got, err, b)
	}
	want, err := hkdf.Expand(sha256.New, append(append([]byte{1}, make([]byte, 30)...), 2),
		"webfarm keyring 1 sub-key\x0binvitations\x02v2", 32)
	if _, got, ok := p.Current(); err != nil || !ok || !bytes.Equal(got, want) {
		t.Errorf("the sub-key is %x, want %x", got, want)
	}
}

// Sub-keys differ by ring, root, labels and id, are the same on all nodes, and end with what they come from.
func TestPurpose(t *testing.T) {
	ctx := t.Context()
	_, a, b := apps(t)
	if err := a.Ensure(ctx, "session"); err != nil {
		t.Fatal(err)
	}
	var seen [][]byte
	for _, p := range []*Purpose{a.Purpose("app"), a.Purpose("app", "x"), a.Purpose("app", "x", ""),
		a.Purpose("session"), a.Purpose("session", "x")} {
		id, key, ok := p.Current()
		if byID, found := p.Key(id); !ok || !found || id != 1 || len(key) != Size || !bytes.Equal(key, byID) {
			t.Errorf("%d %v %v", id, ok, found)
		}
		if slices.ContainsFunc(seen, func(k []byte) bool { return bytes.Equal(k, key) }) {
			t.Error("two purposes have one key")
		}
		seen = append(seen, key)
	}
	here, there := a.Purpose("app", "x"), b.Purpose("app", "x")
	_, first, _ := here.Current()
	if _, same, _ := there.Current(); !bytes.Equal(first, same) {
		t.Error("the nodes have different sub-keys")
	}
	if _, err := a.Rotate(ctx, "app", 1); err != nil {
		t.Fatal(err)
	}
	if err := a.Proceed(ctx, "app", 2, day); err != nil {
		t.Fatal(err)
	}
	id, second, _ := here.Current()
	if old, ok := here.Key(1); id != 2 || bytes.Equal(first, second) || !ok || !bytes.Equal(old, first) {
		t.Errorf("after a rotation: %d", id)
	}
	if n := ci.Allocs(100, 0, func() { here.Current(); here.Key(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := a.Revoke(ctx, "app", 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, ok := here.Key(1); ok {
		t.Error("a sub-key of a revoked key")
	}
	if err := here.Await(ctx, 9); err != nil {
		t.Error(err)
	}
	if _, _, ok := a.Purpose("none").Current(); ok {
		t.Error("a sub-key of no key")
	}
}

func BenchmarkProtect(b *testing.B) {
	_, ring, _ := apps(b)
	p := ring.Purpose("app", "bench")
	plain := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		protected, err := p.Protect(plain, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Unprotect(b.Context(), protected, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKeyOf(t *testing.T) {
	whole := make([]byte, Overhead)
	whole[0], whole[4] = protectFormat, 7
	if id, ok := KeyOf(whole); id != 7 || !ok {
		t.Error(id, ok)
	}
	other := append([]byte{protectFormat + 1}, whole[1:]...)
	for _, b := range [][]byte{nil, whole[:Overhead-1], other} {
		if id, ok := KeyOf(b); id != 0 || ok {
			t.Errorf("%x: %d %v", b, id, ok)
		}
	}
}
