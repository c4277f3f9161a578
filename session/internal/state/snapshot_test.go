package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// filled has sessions, graves, and holes where sessions were.
func filled(tb testing.TB, n int) *rig {
	r := newRig(tb)
	for i := range n {
		r.apply(create(keyOf(i), "cart", strings.Repeat("x", i%300), "user", "u"))
		r.pass(time.Millisecond)
		if i%3 == 0 {
			r.apply(Destroy{keyOf(i / 2)})
		}
		if i%5 == 0 {
			r.apply(Touch{[]Key{keyOf(i - i/4), keyOf(i)}})
		}
	}
	r.apply(SetLimits{Limits{Value: 1000, Name: 20, Keys: 30, Session: 4000, Sessions: 50000}})
	r.apply(Tick{})
	return r
}

func TestSnapshotRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 5, 5000} {
		r := filled(t, n)
		snap := snapshot(t, r.Machine)
		m := restored(t, snap)
		m.table.Load().check(t)
		if !bytes.Equal(snapshot(t, m), snap) {
			t.Fatalf("%d sessions: not the same after a round trip", n)
		}
		if m.Len() != r.Len() || m.Applied() != r.Applied() || !m.LastTick().Equal(r.LastTick()) || m.Limits() != r.Limits() {
			t.Errorf("%d sessions: %d at %d, ticked %v, %v", n, m.Len(), m.Applied(), m.LastTick(), m.Limits())
		}
		for i := range n {
			want, ok := r.Get(keyOf(i))
			got, found := m.Get(keyOf(i))
			if ok != found || m.Ended(keyOf(i)) != r.Ended(keyOf(i)) || show(got) != show(want) || got.Mod != want.Mod {
				t.Fatalf("session %d: %v became %v", i, want, got)
			}
		}
	}
}

// Two ways to one state: the same sessions made in another order, after others that came and went.
func TestSnapshotForgetsHistory(t *testing.T) {
	const n = 1000
	build := func(order []int, detour int) []byte {
		r := newRig(t)
		for i := range detour {
			r.apply(create(keyOf(n+i), "a", "1"))
		}
		for i := range detour {
			r.apply(Destroy{keyOf(n + i)})
		}
		r.now = epoch.Add(time.Hour)
		for _, i := range order {
			r.index = 8000 // of all: they share a log entry
			r.apply(create(keyOf(i)))
		}
		r.index = 9000
		for i := range n {
			r.apply(Write{Key: keyOf(i), Sets: entries("n", fmt.Sprint(i))})
		}
		return snapshot(t, r.Machine)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	if want := build(rng.Perm(n), 0); !bytes.Equal(build(rng.Perm(n), 3*n), want) {
		t.Error("the way shows")
	}
}

func TestSnapshotIsFrozen(t *testing.T) {
	r := filled(t, 3000)
	before := snapshot(t, r.Machine)
	first := r.Snapshot()
	for i := range 3000 {
		r.apply(Write{Key: keyOf(i), Sets: entries("cart", "changed")})
	}
	second, changed := r.Snapshot(), snapshot(t, r.Machine)
	for i := range 3000 {
		r.apply(Destroy{keyOf(i)})
		r.apply(create(keyOf(3000+i), "new", "1"))
	}
	r.pass(2 * time.Hour)
	for range 20 {
		r.apply(Tick{})
		r.pass(time.Minute)
	}
	for range 2 { // twice: writing one takes nothing from it
		var a, b bytes.Buffer
		if _, err := first.WriteTo(&a); err != nil || !bytes.Equal(a.Bytes(), before) {
			t.Fatalf("the first snapshot changed, %v", err)
		}
		if _, err := second.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), changed) {
			t.Fatalf("the second snapshot changed, %v", err)
		}
	}
}

func TestSnapshotWriteError(t *testing.T) {
	r, broken := filled(t, 3000), errors.New("disk full")
	snap := snapshot(t, r.Machine)
	for _, room := range []int{0, 1, 5, len(snap) / 2, len(snap) - 1} {
		w := &limitedWriter{room: room, err: broken}
		n, err := r.Snapshot().WriteTo(w)
		if !errors.Is(err, broken) || n != int64(w.n) || w.after {
			t.Errorf("room for %d: wrote %d of %d, %v, went on %v", room, n, w.n, err, w.after)
		}
	}
}

// limitedWriter has room for some bytes. after says that somebody wrote although it had failed.
type limitedWriter struct {
	room, n int
	err     error
	failed  bool
	after   bool
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	w.after = w.failed
	n := min(len(p), w.room-w.n)
	w.n += n
	if n < len(p) {
		w.failed = true
		return n, w.err
	}
	return n, nil
}

func TestRestoreRefusesDamage(t *testing.T) {
	r := filled(t, 2000)
	snap := snapshot(t, r.Machine)
	target := filled(t, 10)
	before := snapshot(t, target.Machine)
	refuse := func(what string, b []byte, want error) {
		t.Helper()
		err := target.Restore(bytes.NewReader(b))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", what, err, want)
		}
		if !bytes.Equal(snapshot(t, target.Machine), before) {
			t.Fatalf("%s: the old state is gone", what)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		n := i
		if i > 50 {
			n = rng.IntN(len(snap))
		}
		refuse(fmt.Sprintf("cut at %d", n), snap[:n], io.ErrUnexpectedEOF)
		bad := bytes.Clone(snap)
		bad[n] ^= 1 << rng.IntN(8)
		refuse(fmt.Sprintf("bit flipped in byte %d", n), bad, nil)
	}
	refuse("nothing", nil, io.ErrUnexpectedEOF)
	if err := target.Restore(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}

	newer := bytes.Clone(snap)
	newer[0] = highestFormat + 1
	err := target.Restore(bytes.NewReader(newer))
	if err == nil || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("a snapshot of a newer format: %v", err)
	}
}

// Well-formed blocks with a right checksum, but not what a machine writes.
func TestRestoreRefusesNonsense(t *testing.T) {
	s := newTable()
	header := s.appendHeader(nil)
	one := append(keyBytes(1), session{created: 5, seen: 5, idle: 1, absolute: 1}.append(nil)...)
	other := append(keyBytes(2), session{created: 5, seen: 5, idle: 1, absolute: 1}.append(nil)...)
	grave := append(keyBytes(1), 9)
	blobOf := func(b blob) []byte {
		return append(keyBytes(1), session{created: 5, seen: 5, idle: 1, absolute: 1, values: b}.append(nil)...)
	}
	var value blob
	for name, test := range map[string]struct {
		header           []byte
		sessions, graves [][]byte
		good             bool
	}{
		"good":           {header, [][]byte{one, other}, nil, true},
		"good grave":     {header, [][]byte{other}, [][]byte{grave}, true},
		"good value":     {header, [][]byte{blobOf(value.append([]byte("a"), 1, nil))}, nil, true},
		"empty header":   {nil, nil, nil, false},
		"long header":    {append(bytes.Clone(header), 0), nil, nil, false},
		"twice":          {header, [][]byte{one, one}, nil, false},
		"descending":     {header, [][]byte{other, one}, nil, false},
		"live grave":     {header, [][]byte{one}, [][]byte{grave}, false},
		"two graves":     {header, nil, [][]byte{grave, grave}, false},
		"no lifetime":    {header, [][]byte{append(keyBytes(1), session{created: 5, seen: 5}.append(nil)...)}, nil, false},
		"seen too early": {header, [][]byte{append(keyBytes(1), session{created: 5, seen: 4, idle: 1, absolute: 1}.append(nil)...)}, nil, false},
		"empty name":     {header, [][]byte{blobOf(value.append(nil, 1, nil))}, nil, false},
		"no version":     {header, [][]byte{blobOf(value.append([]byte("a"), 0, nil))}, nil, false},
		"names unsorted": {header, [][]byte{blobOf(value.append([]byte("b"), 1, nil).append([]byte("a"), 1, nil))}, nil, false},
		"half a session": {header, [][]byte{one[:20]}, nil, false},
	} {
		err := New().Restore(bytes.NewReader(stream(test.header, test.sessions, test.graves)))
		if (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func keyBytes(first byte) []byte {
	k := Key{first}
	return k[:]
}

// stream frames the parts of a snapshot.
func stream(header []byte, sessions, graves [][]byte) []byte {
	var b bytes.Buffer
	w := newBlockWriter(&b, format)
	w.buf = append(w.buf, header...)
	w.flush()
	for _, section := range [][][]byte{sessions, graves} {
		for _, item := range section {
			w.buf = append(w.buf, item...)
			w.flushIfFull()
		}
		w.endSection()
	}
	return b.Bytes()
}

func TestRestoreReadsNoFurther(t *testing.T) {
	snap := snapshot(t, filled(t, 100).Machine)
	in := bytes.NewReader(append(bytes.Clone(snap), "what comes next"...))
	if err := New().Restore(iotest.OneByteReader(in)); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "what comes next" {
		t.Errorf("left %q", rest)
	}
}

func TestLargestSessionSurvives(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.apply(SetLimits{maxLimits})
	w := create(key)
	for i := range maxLimits.Keys {
		w.Values = append(w.Values, Entry{fmt.Sprintf("%04d%s", i, strings.Repeat("n", 251)), make([]byte, 257)})
	}
	r.index = 1<<63 - 1
	if answer := r.apply(w); answer.Status != OK {
		t.Fatalf("%+v", answer)
	}
	m := restored(t, snapshot(t, r.Machine))
	if f, err := DecodeFetched(m.Query(Fetch{key}.Append(nil))); err != nil || f.Record.Len() != maxLimits.Keys {
		t.Errorf("fetched %v, %v", f, err)
	}
}

func TestFetch(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.apply(create(key, "a", "1", "b", ""))
	r.apply(create(keyOf(2)))
	r.apply(Destroy{keyOf(2)})
	fetch := func(key Key) Fetched {
		t.Helper()
		f, err := DecodeFetched(r.Query(Fetch{key}.Append(nil)))
		if err != nil || f.Applied != 3 || f.Now.Before(epoch) {
			t.Errorf("%+v, %v", f, err)
		}
		return f
	}
	if f := fetch(key); !f.Found || f.Ended || show(f.Record) != "a=1 b=" || f.Record.Mod != 1 || f.Record.Idle != 30*time.Minute {
		t.Errorf("%+v", f)
	}
	if f := fetch(keyOf(2)); f.Found || !f.Ended {
		t.Errorf("an ended session: %+v", f)
	}
	if f := fetch(keyOf(3)); f.Found || f.Ended {
		t.Errorf("a session that never was: %+v", f)
	}
	whole := Fetch{key}.Append(nil)
	for _, q := range [][]byte{nil, {1}, {2}, whole[:16], append(bytes.Clone(whole), 0), append([]byte{9}, key[:]...)} {
		if _, err := DecodeFetched(r.Query(q)); err == nil {
			t.Errorf("the query %x was answered", q)
		}
	}
	answer := r.Query(whole)
	for n := range answer {
		if _, err := DecodeFetched(answer[:n]); err == nil {
			t.Errorf("%d of %d bytes of an answer are an answer", n, len(answer))
		}
	}
}

func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		ci.Missingf(t, "words of 64 bits")
	}
	if n := unsafe.Sizeof(session{}); n != 80 {
		t.Errorf("a session takes %d bytes, want 80", n)
	}
	if n := unsafe.Sizeof(page{}); n > 4096-8 {
		t.Errorf("a page takes %d bytes, more than the size class of 4096 leaves", n)
	}
}
