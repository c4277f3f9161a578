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

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
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

// put sets files, and has what comes out in force: path, text, path, text.
func (r *rig) put(epoch uint64, files ...string) Answer {
	r.t.Helper()
	return r.through(r.apply(proposal(Write{Epoch: epoch, Who: "me", Why: "test"}, files...).Append(nil)))
}

// through activates the rollout that an answer names.
func (r *rig) through(a Answer) Answer {
	r.t.Helper()
	if a.Status != OK || a.Rollout == 0 {
		return a
	}
	return r.apply(Activate{Rollout: a.Rollout, Ready: []string{"n1", "n2"}}.Append(nil))
}

// back has a release that is kept in force again.
func (r *rig) back(epoch, release uint64) Answer {
	r.t.Helper()
	return r.through(r.apply(Begin{Write: Write{Epoch: epoch, Who: "me"}, Release: release}.Append(nil)))
}

func proposal(w Write, files ...string) Propose {
	c := Propose{Write: w, Keep: true}
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
	r.want(r.put(0, "b.yaml", "1", "a.yaml", "2"), OK, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(0, "a.yaml", "3"), Conflict, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(1, "a.yaml", "2"), Same, "1 a.yaml=2 b.yaml=1")
	r.want(r.put(1, "c/d.yaml", "4"), OK, "2 a.yaml=2 b.yaml=1 c/d.yaml=4")
	gone := Propose{Write: Write{Epoch: 2}, Changes: []Change{{Path: "b.yaml", Delete: true},
		{Path: "z", Delete: true}}, Keep: true}
	r.want(r.through(r.apply(gone.Append(nil))), OK, "3 a.yaml=2 c/d.yaml=4")
	want := Epoch{Number: 2, Release: 2, Revision: 2, Rollout: 2, Index: 7, Time: begin.Add(7 * time.Second),
		Who: "me", Why: "test"}
	if got, ok := r.State().Epoch(2); !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if e := r.State().Current(); e.Revision != 3 || len(r.State().Epochs()) != 3 {
		t.Errorf("%+v, %d epochs", e, len(r.State().Epochs()))
	}
}

func TestRollbackIsANewEpoch(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	r.put(1, "a", "2")
	r.want(r.back(1, 1), Conflict, "2 a=2")
	r.want(r.back(2, 9), NoRelease, "2 a=2")
	r.want(r.back(2, 0), NoRelease, "2 a=2")
	r.want(r.back(2, 2), Same, "2 a=2")
	r.want(r.back(2, 1), OK, "3 a=1")
	if e := r.State().Current(); e.Revision != 1 || e.Release != 1 {
		t.Errorf("a rollback made %+v", e)
	}
	r.want(r.put(3, "a", "3"), OK, "4 a=3")
	if e := r.State().Current(); e.Revision != 3 || e.Release != 3 {
		t.Errorf("the next is %+v", e)
	}
	// What is the same as a release that is kept is that release.
	r.want(r.put(4, "a", "2"), OK, "5 a=2")
	if e := r.State().Current(); e.Revision != 2 || e.Release != 2 || len(r.State().Releases()) != 3 {
		t.Errorf("the same again is %+v", e)
	}
}

// TestHeldAgain: what is kept for later is kept by the nodes, also if it was before and is no longer.
func TestHeldAgain(t *testing.T) {
	r := newRig(t)
	hold := func(text string) uint64 {
		t.Helper()
		c := proposal(Write{}, "a", text)
		c.Hold = true
		a := r.apply(c.Append(nil))
		if a.Status != OK || !r.State().retains(a.Release) {
			t.Errorf("%s: %+v, and it is not kept", text, a)
		}
		return a.Release
	}
	first := hold("1")
	if again := hold("1"); again != first {
		t.Errorf("what is kept was made again, as release %d", again)
	}
	for i := range keptUntried {
		hold(fmt.Sprint("other ", i))
	}
	hold("1")
}

// TestTakenOver: files that a publisher sets to what they are make a release of its own; the same by hand is nothing.
func TestTakenOver(t *testing.T) {
	r := newRig(t)
	if a := r.apply(Mint{Public: credential.Public{1}, Name: "ci", NotAfter: begin.Add(time.Hour)}.Append(nil)); a.Status != OK {
		t.Fatal(a)
	}
	r.put(0, "a", "1")
	same := proposal(Write{Epoch: 1}, "a", "1")
	r.want(r.apply(same.Append(nil)), Same, "1 a=1")
	same.Publisher = credential.Public{1}.ID()
	r.want(r.through(r.apply(same.Append(nil))), OK, "2 a=1")
	s := r.State()
	was, _ := s.Epoch(1)
	one, _ := s.Release(was.Release)
	two, _ := s.Release(s.Current().Release)
	if one.Revision == two.Revision || s.Digest(one) != s.Digest(two) {
		t.Errorf("%+v, %+v", one, two)
	}
	r.want(r.apply(proposal(Write{Epoch: 2}).Append(nil)), Same, "2 a=1")
}

// TestRepeatedWrite: a write whose outcome was unknown is sent again, and another one came between.
func TestRepeatedWrite(t *testing.T) {
	r := newRig(t)
	once := proposal(Write{Epoch: 0, Key: "k1"}, "a", "1").Append(nil)
	r.want(r.through(r.apply(once)), OK, "1 a=1")
	r.put(1, "a", "2")
	if a := r.apply(once); a != (Answer{OK, 2, 1, 1}) {
		t.Errorf("repeated: %+v", a)
	}
	held := proposal(Write{Epoch: 2, Key: "k2"}, "a", "3")
	held.Hold = true
	for range 2 {
		if a := r.apply(held.Append(nil)); a != (Answer{OK, 2, 3, 0}) {
			t.Errorf("held: %+v", a)
		}
	}
	begun := Begin{Write: Write{Epoch: 2, Key: "k3"}, Release: 3}.Append(nil)
	for range 2 {
		if a := r.apply(begun); a != (Answer{OK, 2, 3, 3}) {
			t.Errorf("begun: %+v", a)
		}
	}
	r.want(r.apply(Activate{Rollout: 3}.Append(nil)), OK, "3 a=3")
}

func TestKeepsFifty(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "first")
	for i := range uint64(60) {
		if a := r.put(i+1, "a", fmt.Sprint(i)); a.Status != OK {
			t.Fatal(a)
		}
	}
	s := r.State()
	if len(s.Epochs()) != Kept || len(s.revisions) != Kept || s.Epochs()[0].Number != 12 ||
		s.Current().Number != 61 || len(s.Releases()) != Kept || len(s.Rollouts()) != Kept {
		t.Errorf("%d epochs, %d revisions, from %d to %d", len(s.Epochs()), len(s.revisions),
			s.Epochs()[0].Number, s.Current().Number)
	}
	if _, ok := s.Epoch(11); ok {
		t.Error("epoch 11 is still there")
	}
	// A release stays as long as an epoch names it, and others while there is room.
	for i := range uint64(60) {
		if a := r.back(61+i, 61-(i+1)%2); a.Status != OK {
			t.Fatal(a)
		}
	}
	if s = r.State(); len(s.revisions) != Kept || len(s.Epochs()) != Kept {
		t.Errorf("%d revisions, %d epochs after going back and forth", len(s.revisions), len(s.Epochs()))
	}
	for i := range uint64(49) { // never tried: they go before what epochs name
		c := proposal(Write{Epoch: 121}, "a", fmt.Sprint("held ", i))
		c.Hold = true
		if a := r.apply(c.Append(nil)); a.Status != OK {
			t.Fatal(a)
		}
	}
	for _, id := range []uint64{60, 61} {
		if _, ok := r.State().Release(id); !ok || len(r.State().Releases()) != Kept {
			t.Errorf("%d is gone, or there are %d", id, len(r.State().Releases()))
		}
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	half := strings.Repeat("x", MaxBytes/2)
	r.want(r.put(0, "a", half), OK, "1 a="+half)
	if a := r.put(1, "b", half+"y"); a.Status != TooLarge {
		t.Error(a)
	}
	if a := r.put(1, "b", half); a.Status != OK {
		t.Error(a)
	}
	many := proposal(Write{Epoch: 2})
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
	of := func(w Write, files ...string) []byte { return proposal(w, files...).Append(nil) }
	plan := func(p Plan) []byte { return Begin{Write: Write{Epoch: 1}, Release: 1, Plan: p}.Append(nil) }
	good := of(Write{Epoch: 1, Key: "k", Who: "w", Why: "y"}, "b", "2")
	content := Propose{Write: Write{Epoch: 1}, Content: Content{Size: 1}}
	many := make([]string, MaxNodes+1)
	for i := range many {
		many[i] = fmt.Sprint("n", i)
	}
	for name, cmd := range map[string][]byte{
		"empty":     {},
		"torn":      good[:len(good)-1],
		"longer":    append(bytes.Clone(good), 0),
		"long who":  of(Write{Epoch: 1, Who: strings.Repeat("w", MaxWho+1)}, "b", "2"),
		"long why":  of(Write{Epoch: 1, Why: strings.Repeat("w", MaxWhy+1)}, "b", "2"),
		"long key":  of(Write{Epoch: 1, Key: strings.Repeat("w", MaxKey+1)}, "b", "2"),
		"no UTF-8":  of(Write{Epoch: 1}, "b", "\xff"),
		"up":        of(Write{Epoch: 1}, "../b", "2"),
		"root":      of(Write{Epoch: 1}, "/b", "2"),
		"dot":       of(Write{Epoch: 1}, ".", "2"),
		"no path":   of(Write{Epoch: 1}, "", "2"),
		"twice":     of(Write{Epoch: 1}, "b", "2", "b", "3"),
		"no root":   content.Append(nil),
		"delete":    Propose{Write: Write{Epoch: 1}, Changes: []Change{{"a", true, "x"}}}.Append(nil),
		"long way":  {opPropose, 0x81, 0, 0, 0, 0, 0},
		"many":      {opPropose, 1, 0, 0, 0, 0xff, 0xff, 0x03},
		"begin":     {opBegin, 1, 0, 0, 0},
		"policy":    plan(Plan{Unreachable: Refuse + 1}),
		"long":      plan(Plan{Stage: MaxDuration + time.Second}),
		"bake":      plan(Plan{Bake: time.Second}),
		"restart":   plan(Plan{Restart: Manual + 1}),
		"nodes":     plan(Plan{Nodes: many}),
		"node":      plan(Plan{Nodes: []string{strings.Repeat("n", MaxNode+1)}}),
		"activate":  {opActivate, 1, 2, 1, 'b', 1, 'a', 0},
		"nameless":  Activate{Rollout: 1, Ready: []string{""}}.Append(nil),
		"step":      {opConfirm, 1, 0},
		"long step": Abort{1, "w", strings.Repeat("w", MaxReason+1)}.Append(nil),
	} {
		if a := r.apply(cmd); a.Status != Malformed || r.State() != before {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a, err := DecodeAnswer([]byte{0, 1, 0, 0}); err == nil {
		t.Errorf("an answer: %v", a)
	}
}

func TestUnknownCommandPanicsAndChangesNothing(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	before := r.State()
	defer func() {
		err, _ := recover().(error)
		var unknown fault.UnknownCommandError
		if !errors.As(err, &unknown) || unknown.Op != 99 || unknown.Index != 77 ||
			!errors.Is(err, fault.ErrVersion) || r.State() != before {
			t.Errorf("%v", err)
		}
	}()
	r.Apply(77, begin, []byte{99, 1, 2})
}

func TestLevel(t *testing.T) {
	for _, cmd := range [][]byte{nil, {opPropose}, {opActivate}, {opShare}, {99}} {
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

// filled has something of everything: epoch 4 in force, a canary, and its confirmation in progress.
func filled(t *testing.T) *rig {
	r := newRig(t)
	for i := range 2 {
		r.apply(mintOf(i, day).Append(nil))
	}
	r.apply(Revoke{ID: publisher(1), Who: "bob", Why: "leaked"}.Append(nil))
	r.put(0, "site.yaml", "banner: a\n", "nodes/n1/site.yaml", "banner: b\n")
	c := proposal(Write{Epoch: 1, Key: "key", Who: "wer", Why: "darum"}, "site.yaml", "banner: c\n", "x.json",
		"banner: b\n")
	c.Keep, c.Needs, c.Content = false, Needs{"1.2.3", 4}, Content{Root: blob.Sum([]byte("content")),
		Source: blob.Sum([]byte("source")), Manifest: 512, Size: 12345, Files: 6, Seal: "\xff\x00"}
	c.Publisher = publisher(0)
	c.Plan = Plan{Unreachable: Refuse, Wait: time.Second, MinReady: 2, Stage: time.Minute, Confirm: 3 * time.Second,
		Bake: 2 * time.Second, Restart: Manual}
	a := r.through(r.apply(c.Append(nil)))
	r.apply(Return{a.Rollout, "n1", "n2: 500"}.Append(nil)) // epoch 3
	r.put(3, "site.yaml", "banner: d\n")
	held := proposal(Write{Epoch: 4, Why: "later"}, "site.yaml", "banner: e\n")
	held.Hold = true
	r.apply(held.Append(nil))
	no := r.apply(proposal(Write{Epoch: 4}, "site.yaml", "banner: f\n").Append(nil))
	r.apply(Abort{no.Rollout, "n1", "n2 refuses"}.Append(nil))
	some := Begin{Write: Write{Epoch: 4, Who: "me"}, Release: 4, Plan: Plan{Confirm: time.Second,
		Nodes: []string{"n3", "n2"}}}
	r.through(r.apply(some.Append(nil)))
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
	r.apply(Confirm{6, "n1", ""}.Append(nil))
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
	if err := m.Restore(bytes.NewReader([]byte{4})); err == nil || !strings.Contains(err.Error(), "format 4") {
		t.Error(err)
	}
	corpus.Frugal(t, 64, func() { m.Restore(bytes.NewReader([]byte{formatFirst, 0, 0, 0xc0, 0, 1})) })
}

// TestDecodeTakesOneForm: what is sound but not as it would be written is refused, or equal states could
// differ in bytes.
func TestDecodeTakesOneForm(t *testing.T) {
	good := filled(t).State().append(nil)
	if _, ok := decodeState(formatFirst, good); !ok {
		t.Fatal("the good one is refused")
	}
	for format, good := range map[byte][]byte{formatFirst: good, formatShares: shared(t).State().append(nil),
		formatStrict: frozen(t).State().append(nil)} {
		for other := byte(formatFirst); other <= formatStrict; other++ {
			if _, ok := decodeState(other, good); ok != (other == format) {
				t.Errorf("format %d is read as %d: %v", format, other, ok)
			}
		}
		for i := range good {
			for _, v := range []byte{0, 1, good[i] + 1, good[i] - 1, 0xff} {
				bad := bytes.Clone(good)
				bad[i] = v
				if s, ok := decodeState(format, bad); ok && !bytes.Equal(s.append(nil), bad) {
					t.Fatalf("format %d: byte %d = %d is read as something else", format, i, v)
				}
			}
		}
	}
}

func seeds(t *testing.T) map[string]map[string][]byte {
	w := Write{Epoch: 4, Key: "k", Who: "w", Why: "y"}
	whole := proposal(w, "a.yaml", "a: 1\n")
	whole.Keep, whole.Content = false, Content{Root: blob.Sum(nil), Size: 1, Files: 1, Seal: "seal"}
	whole.Needs, whole.Publisher = Needs{"1.0", 4}, publisher(0)
	whole.Plan = Plan{Unreachable: Fence, Wait: time.Second, MinReady: 3, Stage: time.Hour, Confirm: time.Minute,
		Bake: time.Second, Nodes: []string{"n1", "n2"}, Dry: true, Restart: Simultaneous}
	partly := pages(w, "new")
	partly.Plan.Percent = 100
	held := proposal(w)
	held.Hold, held.Changes = true, []Change{{Path: "site.yaml", Delete: true}}
	return map[string]map[string][]byte{
		"FuzzApply": {
			"propose":  whole.Append(nil),
			"hold":     held.Append(nil),
			"begin":    Begin{Write: w, Release: 4}.Append(nil),
			"activate": Activate{Rollout: 6, Ready: []string{"n2"}, Unconfirmed: []string{"n3"}}.Append(nil),
			"confirm":  Confirm{6, "n1", ""}.Append(nil),
			"return":   Return{6, "n1", "n3: 500"}.Append(nil),
			"abort":    Abort{6, "n1", "n3 refuses"}.Append(nil),
			"end":      EndCanary{6, "me", "seen enough"}.Append(nil),
			"mint":     mintOf(2, day).Append(nil),
			"revoke":   Revoke{publisher(0), "bob", "leaked"}.Append(nil),
			"share":    Begin{Write: Write{Epoch: 1}, Release: 3, Plan: Plan{Percent: 25}}.Append(nil),
			"shown":    partly.Append(nil),
			"strict":   Begin{Write: Write{Epoch: 1}, Release: 2, Plan: strictly}.Append(nil),
			"freeze":   Freeze{Rollout: 2, Ready: []string{"n1"}}.Append(nil),
			"switch":   Activate{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil),
		},
		"FuzzRestore": {
			"empty":  snapshotOf(NewMachine(nil)),
			"filled": snapshotOf(filled(t).Machine),
			"shared": snapshotOf(shared(t).Machine),
			"frozen": snapshotOf(frozen(t).Machine),
		},
		"FuzzAnswer": {"done": Answer{OK, 300, 7, 8}.encode()},
	}
}

func TestCorpus(t *testing.T) { corpus.Check(t, seeds(t)) }

// FuzzApply has commands carried out while a rollout is in progress, and when it is over, and what can follow.
func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, cmd []byte) {
		if len(cmd) > 0 && (cmd[0] < opPropose || cmd[0] > opFreeze) {
			return
		}
		for i, before := range [][]byte{nil, Confirm{6, "n1", ""}.Append(nil), Return{6, "n1", ""}.Append(nil), nil, nil} {
			r := filled(t)
			switch i {
			case 3:
				r = shared(t)
			case 4:
				r = frozen(t)
			}
			if before != nil {
				r.apply(before)
			}
			for range 2 {
				was := r.State()
				var a Answer
				corpus.Frugal(t, len(cmd), func() { a = r.apply(cmd) })
				if r.State() != was && a.Status != OK {
					t.Fatalf("%v has changed something", a)
				}
				checkSound(t, was, r.State())
			}
			if p, ok := r.State().InProgress(); ok {
				r.apply(Activate{Rollout: p.ID}.Append(nil))
				r.apply(Return{p.ID, "n1", ""}.Append(nil))
				checkSound(t, &State{}, r.State())
			}
		}
	})
}

// checkSound checks what holds for every state, and for one that follows another.
func checkSound(t *testing.T, was, is *State) {
	t.Helper()
	if is.Current().Number < was.Current().Number || is.Current().Number > was.Current().Number+1 &&
		was.Current().Number > 0 {
		t.Fatalf("epoch %d after %d", is.Current().Number, was.Current().Number)
	}
	back := NewMachine(nil)
	var b bytes.Buffer
	is.WriteTo(&b)
	whole := bytes.Clone(b.Bytes())
	if err := back.Restore(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshotOf(back), whole) {
		t.Fatalf("restored:\n%+v\nwas\n%+v", back.State(), is)
	}
}

func FuzzRestore(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMachine(nil)
		var err error
		corpus.Frugal(t, len(b), func() { err = m.Restore(bytes.NewReader(b)) })
		if err == nil && !bytes.HasPrefix(b, snapshotOf(m)) {
			t.Fatal("not what was read")
		}
		if len(b) < headSize+4 {
			return
		}
		body := b[headSize : len(b)-4] // no fuzzer finds a checksum
		for _, format := range []byte{formatFirst, formatShares, formatStrict} {
			s, ok := decodeState(format, body)
			if !ok {
				continue
			}
			if !bytes.Equal(s.append(nil), body) {
				t.Fatal("not what was decoded")
			}
			goOn(t, s)
		}
	})
}

// goOn has what can follow a state follow it.
func goOn(t *testing.T, s *State) {
	t.Helper()
	for _, end := range []func(uint64) []byte{
		func(r uint64) []byte { return Return{r, "n1", "why"}.Append(nil) },
		func(r uint64) []byte { return Confirm{r, "n1", ""}.Append(nil) },
		func(r uint64) []byte { return Abort{r, "n1", "why"}.Append(nil) },
	} {
		m := NewMachine(nil)
		m.become(s)
		for range 2 { // first what is in progress, then something new
			if p, ok := m.State().InProgress(); ok {
				m.Apply(1, begin, Activate{Rollout: p.ID, Ready: []string{"n1"}}.Append(nil))
				m.Apply(2, begin, end(p.ID))
			}
			m.Apply(3, begin, EndCanary{m.State().Canary().Rollout, "n1", ""}.Append(nil))
			c := proposal(Write{Epoch: m.State().Current().Number}, "new.yaml", "1")
			c.Plan.Confirm = time.Second
			m.Apply(4, begin, c.Append(nil))
			checkSound(t, &State{}, m.State())
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAnswer(b); err == nil && !bytes.Equal(a.encode(), b) {
			t.Fatal("not what was read")
		}
	})
}
