package backup

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/iotest"
	"time"
)

func sample(t testing.TB, state []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(state); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var header = Header{Farm: "shop", ClusterID: "c1", Index: 42, LogTime: time.Unix(1e9, 0).UTC(),
	Taken: time.Unix(1e9+1, 0).UTC(),
	Node:  "n1", Version: "v1", Level: 1, Durable: true, Current: true, Members: 3,
	Machines: []string{"keyring", "session"}}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 5*chunkSize + 17} {
		state := randomBytes(size)
		r, err := NewReader(iotest.OneByteReader(bytes.NewReader(sample(t, state))))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r.Header(), header) {
			t.Errorf("header %+v", r.Header())
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, state) {
			t.Errorf("state of %d bytes: %d came, %v", size, len(got), err)
		}
	}
}

// Wherever a backup ends too early, and whichever bit of it is another, it is not taken for a good one.
func TestDamage(t *testing.T) {
	good := sample(t, randomBytes(300))
	if _, size, err := Verify(bytes.NewReader(good)); err != nil || size != 300 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	for at := range good {
		if _, _, err := Verify(bytes.NewReader(good[:at])); !errors.Is(err, ErrDamaged) &&
			!errors.Is(err, ErrFormat) {
			t.Errorf("cut at %d: %v", at, err)
		}
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		if _, _, err := Verify(bytes.NewReader(bad)); !errors.Is(err, ErrDamaged) &&
			!errors.Is(err, ErrFormat) {
			t.Errorf("bit changed at %d: %v", at, err)
		}
	}
	if _, _, err := Verify(bytes.NewReader(append(bytes.Clone(good), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
	if _, _, err := Verify(io.MultiReader(bytes.NewReader(good[:200]),
		iotest.ErrReader(io.ErrClosedPipe))); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a source that fails: %v", err)
	}
}

func TestWriterKeepsItsError(t *testing.T) {
	w, err := NewWriter(&failing{after: 1000}, header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(randomBytes(4 * chunkSize)); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("write: %v", err)
	}
	if err := w.Close(); err == nil {
		t.Error("a backup that could not be written was closed without an error")
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// FuzzReader: no input makes it panic, take memory that did not come, or pass for good without being so.
func FuzzReader(f *testing.F) {
	good := sample(f, randomBytes(100))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := Verify(bytes.NewReader(b))
		if err == nil && (size > int64(len(b)) || len(h.Farm) > len(b)) {
			t.Errorf("%d bytes of state from %d", size, len(b))
		}
	})
}
