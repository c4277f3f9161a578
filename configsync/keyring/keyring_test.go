package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// farm is a log and the machines behind it, which all apply a command before Propose returns.
type farm struct {
	mu       sync.Mutex
	index    uint64
	nodes    []*Machine
	proposed int
	fail     error  // of Propose
	answer   []byte // instead of the machine's, if not nil
	waitFail error
	lost     bool // commands are applied nowhere
}

func newFarm(n int) *farm {
	f := new(farm)
	for range n {
		f.nodes = append(f.nodes, NewMachine())
	}
	return f
}

func (f *farm) ring(node int) *Ring { return New(f, func() *Machine { return f.nodes[node] }) }

func (f *farm) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proposed++
	if f.fail != nil || f.lost {
		return 0, answer(statusOK, 1), f.fail
	}
	f.index++
	var value []byte
	for _, m := range f.nodes {
		value = m.Apply(f.index, epoch.Add(time.Duration(f.index)*time.Second), cmd)
	}
	if f.answer != nil {
		value = f.answer
	}
	return f.index, value, nil
}

func (f *farm) Wait(ctx context.Context, index uint64) error { return f.waitFail }

func TestEnsure(t *testing.T) {
	f, ctx := newFarm(3), t.Context()
	a, b := f.ring(0), f.ring(1)
	if id, key, ok := a.Current("session"); ok || id != 0 || key != nil {
		t.Errorf("a key before Ensure: %d %x", id, key)
	}
	if err := a.Ensure(ctx, "session", "pins", "session"); err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(ctx, "pins", "session"); err != nil || f.proposed != 2 {
		t.Errorf("ensured again: %v, %d proposals, want 2", err, f.proposed)
	}
	seen := map[string]bool{}
	for _, purpose := range []string{"session", "pins"} {
		id, key, ok := a.Current(purpose)
		_, other, _ := b.Current(purpose)
		byID, found := b.Key(purpose, id)
		if !ok || id != 1 || len(key) != Size || !bytes.Equal(key, other) || !found || !bytes.Equal(key, byID) {
			t.Errorf("%s: %d %v %v, the same on both nodes %v", purpose, id, ok, found, bytes.Equal(key, other))
		}
		if bytes.Equal(key, make([]byte, Size)) || seen[string(key)] {
			t.Errorf("%s: a key that is no secret", purpose)
		}
		seen[string(key)] = true
	}
	if _, ok := a.Key("session", 2); ok {
		t.Error("there is a second key")
	}
	if _, ok := a.Key("other", 1); ok {
		t.Error("there is a key for another purpose")
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	f := newFarm(5)
	var wg sync.WaitGroup
	for i := range f.nodes {
		wg.Go(func() {
			if err := f.ring(i).Ensure(t.Context(), "session"); err != nil {
				t.Error(err)
			}
			if _, _, ok := f.ring(i).Current("session"); !ok {
				t.Error("no key")
			}
		})
	}
	wg.Wait()
	want := snapshot(t, f.nodes[0])
	for _, m := range f.nodes {
		if !bytes.Equal(snapshot(t, m), want) {
			t.Error("the nodes differ")
		}
	}
	if _, ok := f.ring(0).Key("session", 2); ok {
		t.Error("more than one key")
	}
}

func TestEnsureErrors(t *testing.T) {
	broken := errors.New("no leader")
	for name, test := range map[string]struct {
		farm    *farm
		purpose string
		want    error
	}{
		"propose":       {&farm{fail: broken}, "session", broken},
		"wait":          {&farm{waitFail: broken}, "session", broken},
		"lost":          {&farm{lost: true}, "session", nil},
		"refused":       {&farm{answer: answer(statusMalformed, 0)}, "session", nil},
		"full":          {&farm{answer: answer(statusFull, 0)}, "session", nil},
		"nonsense":      {&farm{answer: []byte{1, 2}}, "session", nil},
		"empty purpose": {&farm{}, "", nil},
		"long purpose":  {&farm{}, strings.Repeat("x", maxPurpose+1), nil},
	} {
		f := test.farm
		f.nodes = []*Machine{NewMachine()}
		err := f.ring(0).Ensure(t.Context(), test.purpose)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestFirstInTheLogWins(t *testing.T) {
	m := NewMachine()
	first := m.Apply(1, epoch, ensure{"session", Secret{1}}.append(nil))
	second := m.Apply(2, epoch, ensure{"session", Secret{2}}.append(nil))
	for _, b := range [][]byte{first, second} {
		if id, err := decodeAnswer(b); id != 1 || err != nil {
			t.Errorf("answer %d, %v", id, err)
		}
	}
	if _, key, _ := m.Current("session"); key[0] != 1 {
		t.Error("the second key won")
	}
}

func TestMachineIsBounded(t *testing.T) {
	m := NewMachine()
	for i := range maxPurposes {
		if id, err := decodeAnswer(m.Apply(uint64(i), epoch, ensure{fmt.Sprint("p", i), Secret{}}.append(nil))); id != 1 || err != nil {
			t.Fatal(id, err)
		}
	}
	before := snapshot(t, m)
	if _, err := decodeAnswer(m.Apply(999, epoch, ensure{"one more", Secret{}}.append(nil))); err == nil {
		t.Error("one purpose too many was accepted")
	}
	if id, err := decodeAnswer(m.Apply(999, epoch, ensure{"p7", Secret{9}}.append(nil))); id != 1 || err != nil {
		t.Error("an old purpose was refused", err)
	}
	if !bytes.Equal(snapshot(t, m), before) {
		t.Error("the state changed")
	}
	restored(t, before)
}

func TestMalformedAndUnknownCommands(t *testing.T) {
	m := NewMachine()
	whole := ensure{"session", Secret{1}}.append(nil)
	bad := [][]byte{nil, append(bytes.Clone(whole), 0), ensure{"", Secret{}}.append(nil),
		ensure{strings.Repeat("x", maxPurpose+1), Secret{}}.append(nil)}
	for n := 1; n < len(whole); n++ {
		bad = append(bad, whole[:n])
	}
	for _, cmd := range bad {
		if _, err := decodeAnswer(m.Apply(1, epoch, cmd)); err == nil {
			t.Errorf("%x was accepted", cmd)
		}
	}
	defer func() {
		err, _ := recover().(error)
		var unknown UnknownCommandError
		if !errors.As(err, &unknown) || unknown.Op != 9 || unknown.Index != 5 || !errors.Is(err, ErrUnknownCommand) {
			t.Errorf("panic with %v", err)
		}
		if !bytes.Equal(snapshot(t, m), snapshot(t, NewMachine())) {
			t.Error("the state changed")
		}
	}()
	m.Apply(5, epoch, []byte{9})
}

func TestSecretsDoNotShow(t *testing.T) {
	f := newFarm(1)
	r := f.ring(0)
	if err := r.Ensure(t.Context(), "session"); err != nil {
		t.Fatal(err)
	}
	_, key, _ := r.Current("session")
	secret := Secret(key)
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("text", "secret", secret, "machine", f.nodes[0], "group", struct{ S Secret }{secret})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", secret, "group", struct{ S Secret }{secret})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", secret, &secret, []Secret{secret})
		fmt.Fprintf(&out, verb+"\n", f.nodes[0])
		fmt.Fprintf(&out, verb+"\n", f.nodes[0].Snapshot())
	}
	b, err := json.Marshal(map[string]any{"s": secret})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%s %v", b, decodeError(ensure{"session", secret}))
	decimal := strings.Trim(fmt.Sprint(key), "[]")
	for what, form := range map[string]string{
		"hex": fmt.Sprintf("%x", key), "HEX": fmt.Sprintf("%X", key), "decimal": decimal,
		"Go": strings.ReplaceAll(decimal, " ", ", "), "bytes": string(key), "quoted": fmt.Sprintf("%q", key),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the key shows as %s in\n%s", what, out.String())
		}
	}
}

func decodeError(c ensure) error {
	_, err := decodeAnswer(NewMachine().Apply(1, epoch, append(c.append(nil), 0)))
	return err
}

func TestReadsDoNotAllocate(t *testing.T) {
	f := newFarm(1)
	r := f.ring(0)
	if err := r.Ensure(t.Context(), "a", "b", "session"); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		id, _, _ := r.Current("session")
		r.Key("session", id)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadersBesideApply(t *testing.T) {
	f := newFarm(1)
	m, r := f.nodes[0], f.ring(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if id, key, ok := r.Current("p7"); ok {
					if same, found := r.Key("p7", id); !found || !bytes.Equal(same, key) {
						t.Error("a key changed")
					}
				}
			}
		})
	}
	for i := range 200 {
		m.Apply(uint64(i), epoch, ensure{fmt.Sprint("p", i), Secret{byte(i)}}.append(nil))
		snap := snapshot(t, m)
		if err := m.Restore(bytes.NewReader(snap)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

func snapshot(tb testing.TB, m *Machine) []byte {
	tb.Helper()
	var b bytes.Buffer
	if n, err := m.Snapshot().WriteTo(&b); err != nil || n != int64(b.Len()) {
		tb.Fatal(n, err)
	}
	return b.Bytes()
}

func restored(tb testing.TB, snap []byte) *Machine {
	tb.Helper()
	m := NewMachine()
	if err := m.Restore(bytes.NewReader(snap)); err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestSnapshot(t *testing.T) {
	a, b := NewMachine(), NewMachine()
	names := []string{"session", "pins", "a", "zz"}
	for i, p := range names {
		a.Apply(uint64(i), epoch, ensure{p, Secret{byte(p[0])}}.append(nil))
		p = names[len(names)-1-i]
		b.Apply(uint64(i), epoch, ensure{p, Secret{byte(p[0])}}.append(nil))
	}
	snap := snapshot(t, a)
	if !bytes.Equal(snap, snapshot(t, b)) {
		t.Error("the order of creation shows")
	}
	frozen := a.Snapshot()
	a.Apply(9, epoch, ensure{"later", Secret{}}.append(nil))
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
	if err := m.Restore(bytes.NewReader([]byte{2})); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a newer format: %v", err)
	}
	if !bytes.Equal(snapshot(t, m), snap) {
		t.Error("a refused snapshot changed the state")
	}
}

// A later program may have several keys of a purpose; the format and the reads know them already.
func TestSeveralKeysOfOnePurpose(t *testing.T) {
	several := rings{"session": {{id: 1, state: signing, secret: Secret{1}}, {id: 4, state: signing, created: 7, secret: Secret{4}}}}
	var b bytes.Buffer
	if _, err := several.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	m := restored(t, b.Bytes())
	if id, key, ok := m.Current("session"); id != 4 || key[0] != 4 || !ok {
		t.Errorf("current is %d", id)
	}
	if key, ok := m.Key("session", 1); !ok || key[0] != 1 {
		t.Error("the older key is gone")
	}
	if id, err := decodeAnswer(m.Apply(1, epoch, ensure{"session", Secret{}}.append(nil))); id != 1 || err != nil {
		t.Errorf("ensured %d, %v", id, err)
	}
}

func FuzzApply(f *testing.F) {
	f.Add(ensure{"session", Secret{1}}.append(nil))
	f.Add(ensure{"other", Secret{1}}.append(nil))
	f.Fuzz(func(t *testing.T, cmd []byte) {
		m := NewMachine()
		m.Apply(1, epoch, ensure{"session", Secret{1}}.append(nil))
		defer func() {
			if err, _ := recover().(error); err != nil && (!errors.Is(err, ErrUnknownCommand) || cmd[0] == opEnsure) {
				panic(err)
			}
		}()
		before := snapshot(t, m)
		_, err := decodeAnswer(m.Apply(2, epoch, cmd))
		after := snapshot(t, m)
		if err != nil && !bytes.Equal(before, after) {
			t.Fatal("a refused command changed the state")
		}
		if _, key, _ := m.Current("session"); key[0] != 1 {
			t.Fatal("the key changed")
		}
		if !bytes.Equal(snapshot(t, restored(t, after)), after) {
			t.Fatal("not the same after a round trip")
		}
	})
}

func FuzzRestore(f *testing.F) {
	m := NewMachine()
	f.Add(snapshot(f, m)[headSize:])
	m.Apply(1, epoch, ensure{"session", Secret{1}}.append(nil))
	m.Apply(1, epoch, ensure{"pins", Secret{2}}.append(nil))
	whole := snapshot(f, m)
	f.Add(whole[headSize : len(whole)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		if m := NewMachine(); m.Restore(bytes.NewReader(body)) == nil && !bytes.Equal(snapshot(t, m), body[:len(snapshot(t, m))]) {
			t.Fatal("not the same after a round trip")
		}
		all, err := decodeRings(body) // as behind a right checksum
		if err != nil {
			return
		}
		var b bytes.Buffer
		if _, err := all.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes()[headSize:b.Len()-4], body) {
			t.Fatalf("%x became %x, %v", body, b.Bytes(), err)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	f := newFarm(1)
	r := f.ring(0)
	if err := r.Ensure(b.Context(), "session"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Key("session", 1)
	}
}

var update = flag.Bool("update", false, "rewrite testdata/snapshot.bin")

// Logs and snapshots outlive the program that wrote them.
func TestFormatsStayReadable(t *testing.T) {
	m := NewMachine()
	cmd := ensure{"session", Secret{1, 31: 2}}.append(nil)
	if want := "\x01\x07session\x01" + strings.Repeat("\x00", 30) + "\x02"; string(cmd) != want {
		t.Errorf("command %q, want %q", cmd, want)
	}
	m.Apply(1, epoch, cmd)
	m.Apply(2, epoch.Add(time.Hour), ensure{"pins", Secret{3}}.append(nil))
	const file = "testdata/snapshot.bin"
	if *update {
		if err := os.WriteFile(file, snapshot(t, m), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshot(t, restored(t, old)), snapshot(t, m)) {
		t.Error("a snapshot of an earlier version is not what it was")
	}
}
