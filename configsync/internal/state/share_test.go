package state

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// pages is a proposal of other content, with the configuration as it is.
func pages(w Write, text string) Propose {
	return Propose{Write: w, Content: Content{Root: blob.Sum([]byte(text)), Size: 1, Files: 1}}
}

// shared has a release in force with content, and one that a quarter of the clients sees, in its confirm window.
func shared(t *testing.T) *rig {
	r := newRig(t)
	first := pages(Write{}, "one")
	first.Changes = []Change{{Path: "site.yaml", Text: "a: 1\n"}}
	r.through(r.apply(first.Append(nil)))
	for _, text := range []string{"two", "three"} {
		held := pages(Write{Epoch: 1}, text)
		held.Hold = true
		r.apply(held.Append(nil))
	}
	r.share(2, Plan{Percent: 10})
	r.apply(EndCanary{r.State().Canary().Rollout, "me", "seen enough"}.Append(nil))
	r.share(3, Plan{Percent: 25, Confirm: time.Second})
	return r
}

// share begins to show a release to a share of the clients, and activates that.
func (r *rig) share(release uint64, p Plan) Answer {
	r.t.Helper()
	a := r.apply(Begin{Write: Write{Epoch: r.State().Current().Number, Who: "me"}, Release: release, Plan: p}.Append(nil))
	if a.Status == OK {
		a = r.apply(Activate{Rollout: a.Rollout, Ready: []string{"n1"}}.Append(nil))
	}
	return a
}

// A share of the clients is shown a release in no epoch of its own. It is raised, and promoted, and nothing else comes
// between; every change of who sees what is a turn.
func TestShare(t *testing.T) {
	r := shared(t)
	is := func(percent, turn, epoch uint64) {
		t.Helper()
		s := r.State()
		if c := s.Canary(); c.Percent != percent || s.Turn() != turn || s.Current().Number != epoch ||
			percent > 0 && c.Release != 3 {
			t.Errorf("%+v, turn %d, epoch %d", c, s.Turn(), s.Current().Number)
		}
		if in, canary := s.For("n1"); canary || in.ID != s.Current().Release {
			t.Errorf("n1 has %d in force", in.ID)
		}
	}
	is(25, 3, 1)
	if a := r.share(3, Plan{Percent: 50}); a.Status != Busy {
		t.Errorf("raised within the confirm window: %v", a)
	}
	r.apply(Confirm{r.State().Canary().Rollout, "n1", ""}.Append(nil))
	for name, p := range map[string]Plan{"less": {Percent: 10}, "as much": {Percent: 25}, "nodes": {Nodes: []string{"n1"}}} {
		if a := r.share(3, p); a.Status != Busy {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := r.share(2, Plan{Percent: 90}); a.Status != Busy {
		t.Errorf("another release: %v", a)
	}
	r.share(3, Plan{Percent: 100})
	is(100, 4, 1)
	r.share(3, Plan{Confirm: time.Second})
	is(0, 5, 2)
	r.apply(Return{r.State().Newest().ID, "n1", "500"}.Append(nil))
	is(0, 5, 3)
}

// What fails in its confirm window is shown to nobody.
func TestShareThatIsTakenBack(t *testing.T) {
	r := shared(t)
	r.apply(Return{r.State().Canary().Rollout, "n1", "n2: 500"}.Append(nil))
	s := r.State()
	if three, _ := s.Release(3); s.Canary().Rollout != 0 || s.Turn() != 4 || three.Rejected != "n2: 500" ||
		s.Newest().Phase != Returned {
		t.Errorf("%+v, turn %d, %+v", s.Canary(), s.Turn(), s.Newest())
	}
}

// A raise, or a promotion, that comes to nothing leaves the canary as it was: nothing is said against its release,
// which is kept when the canary is ended.
func TestShareThatIsNotRaised(t *testing.T) {
	for name, p := range map[string]Plan{"raised": {Percent: 50}, "promoted": {}} {
		r := shared(t)
		canary := r.State().Canary()
		r.apply(Confirm{canary.Rollout, "n1", ""}.Append(nil))
		a := r.apply(Begin{Write: Write{Epoch: 1, Who: "me"}, Release: 3, Plan: p}.Append(nil))
		r.apply(Abort{a.Rollout, "n1", "cannot be reached: n3"}.Append(nil))
		s := r.State()
		three, _ := s.Release(3)
		if three.Rejected != "" || !reflect.DeepEqual(s.Canary(), canary) || s.Newest().Phase != Aborted {
			t.Errorf("%s: %+v, %+v, %+v", name, three, s.Canary(), s.Newest())
		}
		r.apply(EndCanary{canary.Rollout, "me", "seen enough"}.Append(nil))
		if three, _ = r.State().Release(3); three.Tried || !slices.ContainsFunc(r.State().Retained(),
			func(kept Release) bool { return kept.ID == 3 }) {
			t.Errorf("%s: %+v is not kept", name, three)
		}
	}
}

// Only content can be shown to a share of the clients.
func TestShareOfConfiguration(t *testing.T) {
	r := newRig(t)
	held := pages(Write{}, "first")
	held.Hold = true
	r.apply(held.Append(nil))
	if a := r.share(1, Plan{Percent: 10}); a.Status != NotSharable {
		t.Errorf("without content in force: %v", a)
	}
	r.through(r.apply(pages(Write{}, "one").Append(nil)))
	changed := pages(Write{Epoch: 1}, "two")
	changed.Changes, changed.Plan.Percent = []Change{{Path: "site.yaml", Text: "a: 1\n"}}, 10
	before := r.State()
	for name, cmd := range map[string]Propose{"configuration": changed,
		"no content": {Write: Write{Epoch: 1}, Plan: Plan{Percent: 10}}} {
		if a := r.apply(cmd.Append(nil)); a.Status != NotSharable || r.State() != before {
			t.Errorf("%s: %v", name, a)
		}
	}
	changed.Changes = nil
	if a := r.through(r.apply(changed.Append(nil))); a.Status != OK || r.State().Canary().Percent != 10 {
		t.Errorf("content alone: %v, %+v", a, r.State().Canary())
	}
}

func TestShareMalformed(t *testing.T) {
	r := shared(t)
	r.apply(EndCanary{r.State().Canary().Rollout, "me", ""}.Append(nil))
	r.apply(Return{r.State().Canary().Rollout, "n1", "over"}.Append(nil))
	before := r.State()
	begin := Begin{Write: Write{Epoch: 1}, Release: 2}.Append(nil)
	held := pages(Write{Epoch: 1}, "four")
	held.Hold, held.Plan.Percent = true, 10
	for name, cmd := range map[string][]byte{
		"none":  {opShare},
		"alone": {opShare, 10},
		"zero":  append([]byte{opShare, 0}, begin...),
		"101":   Begin{Write: Write{Epoch: 1}, Release: 2, Plan: Plan{Percent: 101}}.Append(nil),
		"much":  Begin{Write: Write{Epoch: 1}, Release: 2, Plan: Plan{Percent: 256}}.Append(nil),
		"nodes": Begin{Write: Write{Epoch: 1}, Release: 2, Plan: Plan{Percent: 10, Nodes: []string{"n1"}}}.Append(nil),
		"held":  held.Append(nil),
		"twice": append([]byte{opShare, 10, opShare, 10}, begin...),
		"other": append([]byte{opShare, 10}, Confirm{4, "n1", ""}.Append(nil)...),
	} {
		if a := r.apply(cmd); a.Status != Malformed || r.State() != before {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// A farm that has never shown anything to a share of its clients writes snapshots that a program without shares reads;
// and such a program refuses those that it does not understand, by their format.
func TestSnapshotOfShares(t *testing.T) {
	r := newRig(t)
	held := pages(Write{}, "two")
	r.through(r.apply(pages(Write{}, "one").Append(nil)))
	held.Epoch, held.Hold = 1, true
	r.apply(held.Append(nil))
	if b := snapshotOf(r.Machine); b[0] != formatFirst {
		t.Errorf("before: format %d", b[0])
	}
	r.apply(Begin{Write: Write{Epoch: 1}, Release: 2, Plan: Plan{Percent: 10}}.Append(nil))
	for range 60 { // until no rollout that is kept is for a share, and longer
		b := snapshotOf(r.Machine)
		if b[0] != formatShares {
			t.Fatalf("format %d", b[0])
		}
		back := NewMachine(nil)
		if err := back.Restore(bytes.NewReader(b)); err != nil || !bytes.Equal(snapshotOf(back), b) ||
			back.State().Turn() != r.State().Turn() {
			t.Fatalf("restored: %v", err)
		}
		r.apply(Activate{Rollout: r.State().Newest().ID, Ready: []string{"n1"}}.Append(nil))
		r.apply(EndCanary{r.State().Canary().Rollout, "me", ""}.Append(nil))
		r.put(r.State().Current().Number, "x", strings.Repeat("x", int(r.State().Newest().ID)))
	}
}
