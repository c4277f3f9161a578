package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a machine and its log.
type rig struct {
	*Machine
	t     *testing.T
	index uint64
}

func newRig(t *testing.T) *rig { return &rig{Machine: NewMachine(nil), t: t} }

func (r *rig) apply(cmd []byte) Answer {
	r.t.Helper()
	r.index++
	a, err := DecodeAnswer(r.Apply(r.index, begin.Add(time.Duration(r.index)*time.Second), cmd))
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// put sets files: path, text, path, text.
func (r *rig) put(epoch uint64, files ...string) Answer {
	r.t.Helper()
	return r.apply(putOf(Write{Epoch: epoch, Who: "me", Why: "test"}, files...).Append(nil))
}

func putOf(w Write, files ...string) Put {
	c := Put{Write: w}
	for i := 0; i < len(files); i += 2 {
		c.Changes = append(c.Changes, Change{Path: files[i], Text: files[i+1]})
	}
	return c
}

func (r *rig) current() string {
	s := r.State()
	out := fmt.Sprint(s.Current().Number, " ")
	for _, f := range s.Files(s.Current().Revision) {
		out += f.Path + "=" + f.Text + " "
	}
	return strings.TrimSpace(out)
}

func (r *rig) want(a Answer, status Status, current string) {
	r.t.Helper()
	if got := r.current(); a.Status != status || got != current {
		r.t.Errorf("got %v, %q, want %v, %q", a, got, status, current)
	}
}

func TestPut(t *testing.T) {
	r := newRig(t)
	r.want(r.put(1, "a.yaml", "1"), Conflict, "0")
	r.want(r.put(0, "b.yaml", "1", "a.yaml", "2"), Done, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(0, "a.yaml", "3"), Conflict, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(1, "a.yaml", "2"), Same, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(1, "c/d.yaml", "4"), Done, "2 a.yaml=2 b.yaml=1 c/d.yaml=4")
	gone := Put{Write{Epoch: 2}, []Change{{Path: "b.yaml", Delete: true}, {Path: "z", Delete: true}}}
	r.want(r.apply(gone.Append(nil)), Done, "3 a.yaml=2 c/d.yaml=4")
	e := r.State().Current()
	want := Epoch{Number: 2, Revision: 2, Index: 5, Time: begin.Add(5 * time.Second), Who: "me", Why: "test"}
	if got, ok := r.State().Epoch(2); !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if e.Revision != 3 || len(r.State().Epochs()) != 3 {
		t.Errorf("%+v, %d epochs", e, len(r.State().Epochs()))
	}
}

func TestRollbackIsANewEpoch(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	r.put(1, "a", "2")
	back := func(epoch, again uint64) Answer {
		return r.apply(Activate{Write{Epoch: epoch, Who: "me"}, again}.Append(nil))
	}
	r.want(back(1, 1), Conflict, "2 a=2")
	r.want(back(2, 9), NoEpoch, "2 a=2")
	r.want(back(2, 2), Same, "2 a=2")
	r.want(back(2, 1), Done, "3 a=1")
	if e := r.State().Current(); e.Revision != 1 {
		t.Errorf("a rollback made revision %d", e.Revision)
	}
	r.want(r.put(3, "a", "3"), Done, "4 a=3")
	if e := r.State().Current(); e.Revision != 3 {
		t.Errorf("the next revision is %d", e.Revision)
	}
}

// TestRepeatedWrite: a write whose outcome was unknown is sent again, and another one came between.
func TestRepeatedWrite(t *testing.T) {
	r := newRig(t)
	once := putOf(Write{Epoch: 0, Key: "k1"}, "a", "1").Append(nil)
	r.want(r.apply(once), Done, "1 a=1")
	r.put(1, "a", "2")
	if a := r.apply(once); a != (Answer{Done, 1}) {
		t.Errorf("repeated: %+v", a)
	}
	r.want(r.put(2, "a", "2"), Same, "2 a=2")
}

func TestKeepsFifty(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "first")
	for i := range uint64(60) {
		if a := r.put(i+1, "a", fmt.Sprint(i)); a.Status != Done {
			t.Fatal(a)
		}
	}
	s := r.State()
	if len(s.Epochs()) != Kept || len(s.files) != Kept || s.Epochs()[0].Number != 12 ||
		s.Current().Number != 61 {
		t.Errorf("%d epochs, %d revisions, from %d to %d", len(s.Epochs()), len(s.files), s.Epochs()[0].Number,
			s.Current().Number)
	}
	if _, ok := s.Epoch(11); ok {
		t.Error("epoch 11 is still there")
	}
	// A revision stays as long as an epoch names it.
	for i := range uint64(60) {
		again := 61 + i - 1
		r.apply(Activate{Write{Epoch: 61 + i}, again}.Append(nil))
	}
	if s = r.State(); len(s.files) != 2 || len(s.Epochs()) != Kept {
		t.Errorf("%d revisions, %d epochs after going back and forth", len(s.files), len(s.Epochs()))
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	half := strings.Repeat("x", MaxBytes/2)
	r.want(r.put(0, "a", half), Done, "1 a="+half)
	if a := r.put(1, "b", half+"y"); a.Status != TooLarge {
		t.Error(a)
	}
	if a := r.put(1, "b", half); a.Status != Done {
		t.Error(a)
	}
	many := putOf(Write{Epoch: 2})
	for i := range MaxFiles - 1 {
		many.Changes = append(many.Changes, Change{Path: fmt.Sprint("f", i)})
	}
	if a := r.apply(many.Append(nil)); a.Status != TooLarge {
		t.Error(a)
	}
}

func TestMalformed(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	before := r.State()
	good := putOf(Write{Epoch: 1, Key: "k", Who: "w", Why: "y"}, "b", "2").Append(nil)
	for name, cmd := range map[string][]byte{
		"empty":    {},
		"torn":     good[:len(good)-1],
		"longer":   append(bytes.Clone(good), 0),
		"long who": putOf(Write{Epoch: 1, Who: strings.Repeat("w", MaxWho+1)}, "b", "2").Append(nil),
		"long why": putOf(Write{Epoch: 1, Why: strings.Repeat("w", MaxWhy+1)}, "b", "2").Append(nil),
		"long key": putOf(Write{Epoch: 1, Key: strings.Repeat("w", MaxKey+1)}, "b", "2").Append(nil),
		"no UTF-8": putOf(Write{Epoch: 1}, "b", "\xff").Append(nil),
		"up":       putOf(Write{Epoch: 1}, "../b", "2").Append(nil),
		"root":     putOf(Write{Epoch: 1}, "/b", "2").Append(nil),
		"dot":      putOf(Write{Epoch: 1}, ".", "2").Append(nil),
		"no path":  putOf(Write{Epoch: 1}, "", "2").Append(nil),
		"twice":    putOf(Write{Epoch: 1}, "b", "2", "b", "3").Append(nil),
		"delete":   Put{Write{Epoch: 1}, []Change{{Path: "a", Delete: true, Text: "x"}}}.Append(nil),
		"flag":     {opPut, 1, 0, 0, 0, 1, 1, 'b', 2, 0},
		"long way": {opPut, 0x81, 0, 0, 0, 0, 0},
		"activate": {opActivate, 1, 0, 0, 0},
		"many":     {opPut, 1, 0, 0, 0, 0xff, 0xff, 0x03},
	} {
		if a := r.apply(cmd); a.Status != Malformed || r.State() != before {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a, err := DecodeAnswer([]byte{0, 1}); err == nil {
		t.Errorf("an answer: %v", a)
	}
}

func TestUnknownCommandPanicsAndChangesNothing(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	before := r.State()
	defer func() {
		err, _ := recover().(error)
		var unknown UnknownCommandError
		if !errors.As(err, &unknown) || unknown.Op != 9 || unknown.Index != 77 ||
			!errors.Is(err, fault.ErrVersion) ||
			!errors.Is(err, ErrUnknownCommand) || r.State() != before {
			t.Errorf("%v", err)
		}
	}()
	r.Apply(77, begin, []byte{9, 1, 2})
}

func TestLevel(t *testing.T) {
	for _, cmd := range [][]byte{nil, {opPut}, {opActivate}, {99}} {
		if Level(cmd) != 4 {
			t.Errorf("%v needs level %d", cmd, Level(cmd))
		}
	}
}

func TestChangedIsSignalled(t *testing.T) {
	changed := make(chan struct{}, 1)
	r := &rig{Machine: NewMachine(changed), t: t}
	r.put(1, "a", "1") // refused
	if len(changed) != 0 {
		t.Error("a refusal was signalled")
	}
	r.put(0, "a", "1")
	r.put(1, "a", "2") // nobody waits for the reader
	if len(changed) != 1 {
		t.Error("a change was not signalled")
	}
	<-changed
	var b bytes.Buffer
	r.Snapshot().WriteTo(&b)
	if err := r.Restore(&b); err != nil || len(changed) != 1 {
		t.Errorf("restored: %v, %d signals", err, len(changed))
	}
}

func filled(t *testing.T) *rig {
	r := newRig(t)
	r.put(0, "site.yaml", "banner: a\n", "nodes/n1/site.yaml", "banner: b\n")
	r.apply(putOf(Write{Epoch: 1, Key: "key", Who: "wer", Why: "darum"}, "site.yaml", "banner: c\n", "x.json",
		"banner: b\n").Append(nil))
	r.apply(Activate{Write{Epoch: 2, Who: "me", Why: "back"}, 1}.Append(nil))
	return r
}

func snapshotOf(m *Machine) []byte {
	var b bytes.Buffer
	m.Snapshot().WriteTo(&b)
	return b.Bytes()
}

func TestSnapshot(t *testing.T) {
	r := filled(t)
	frozen := r.Snapshot()
	b := snapshotOf(r.Machine)
	r.put(3, "site.yaml", "later")
	var again bytes.Buffer
	if frozen.WriteTo(&again); !bytes.Equal(again.Bytes(), b) {
		t.Error("a snapshot changed while the log went on")
	}
	back := NewMachine(nil)
	rest := strings.NewReader("rest")
	if err := back.Restore(iotest.OneByteReader(io.MultiReader(bytes.NewReader(b), rest))); err != nil {
		t.Fatal(err)
	}
	if rest.Len() != 4 {
		t.Error("Restore has read on")
	}
	if !bytes.Equal(snapshotOf(back), b) || !reflect.DeepEqual(back.State(), frozen) {
		t.Errorf("restored:\n%+v\nwas\n%+v", back.State(), frozen)
	}
	empty := snapshotOf(NewMachine(nil))
	if err := back.Restore(bytes.NewReader(empty)); err != nil || len(back.State().Epochs()) != 0 {
		t.Errorf("empty: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := snapshotOf(filled(t).Machine)
	m := filled(t)
	before := m.State()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := m.Restore(bytes.NewReader(bad)); err == nil || m.State() != before {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if err := m.Restore(bytes.NewReader(good[:i])); err == nil || m.State() != before {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if err := m.Restore(bytes.NewReader([]byte{2})); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Error(err)
	}
	corpus.Frugal(t, 64, func() { m.Restore(bytes.NewReader([]byte{format, 0, 0, 0xc0, 0, 1})) })
}

// TestDecodeTakesOneForm: what is sound but not as it would be written is refused, or equal states could
// differ in bytes.
func TestDecodeTakesOneForm(t *testing.T) {
	good := filled(t).State().append(nil)
	if _, ok := decodeState(good); !ok {
		t.Fatal("the good one is refused")
	}
	for i := range good {
		for _, v := range []byte{0, 1, good[i] + 1, good[i] - 1, 0xff} {
			bad := bytes.Clone(good)
			bad[i] = v
			if s, ok := decodeState(bad); ok && !bytes.Equal(s.append(nil), bad) {
				t.Fatalf("byte %d = %d is read as something else", i, v)
			}
		}
	}
}

func seeds(t *testing.T) map[string]map[string][]byte {
	return map[string]map[string][]byte{
		"FuzzApply": {
			"put":      putOf(Write{Epoch: 3, Key: "k", Who: "w", Why: "y"}, "a.yaml", "a: 1\n").Append(nil),
			"delete":   Put{Write{Epoch: 3}, []Change{{Path: "site.yaml", Delete: true}}}.Append(nil),
			"activate": Activate{Write{Epoch: 3}, 2}.Append(nil),
		},
		"FuzzRestore": {
			"empty":  snapshotOf(NewMachine(nil)),
			"filled": snapshotOf(filled(t).Machine),
		},
		"FuzzAnswer": {"done": Answer{Done, 300}.encode()},
	}
}

func TestCorpus(t *testing.T) { corpus.Check(t, seeds(t)) }

func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, cmd []byte) {
		if len(cmd) > 0 && cmd[0] != opPut && cmd[0] != opActivate {
			return
		}
		r := filled(t)
		before := r.State()
		var a Answer
		corpus.Frugal(t, len(cmd), func() { a = r.apply(cmd) })
		if (r.State() != before) != (a.Status == Done && a.Epoch == 4) {
			t.Fatalf("%v, epoch %d", a, r.State().Current().Number)
		}
		back := NewMachine(nil)
		if err := back.Restore(bytes.NewReader(snapshotOf(r.Machine))); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMachine(nil)
		var err error
		corpus.Frugal(t, len(b), func() { err = m.Restore(bytes.NewReader(b)) })
		if err == nil && !bytes.HasPrefix(b, snapshotOf(m)) {
			t.Fatal("not what was read")
		}
		if s, ok := decodeState(b); ok && !bytes.Equal(s.append(nil), b) {
			t.Fatal("not what was decoded")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAnswer(b); err == nil && !bytes.Equal(a.encode(), b) {
			t.Fatal("not what was read")
		}
	})
}
