package state

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

var strictly = Plan{Strict: 500 * time.Millisecond, Unreachable: Refuse, Confirm: time.Second}

// frozen has a release in force, and another one for which requests are held: rollout 2, of release 2.
func frozen(t *testing.T) *rig {
	r := newRig(t)
	r.put(0, "a", "1")
	c := proposal(Write{Epoch: 1, Who: "me"}, "a", "2")
	c.Plan = strictly
	r.apply(c.Append(nil))
	if a := r.apply(Freeze{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil)); a.Status != OK {
		t.Fatal(a)
	}
	return r
}

// held checks for which rollout requests are held.
func (r *rig) held(when string, rollout uint64) {
	r.t.Helper()
	id, most := r.State().Frozen()
	if id != rollout || (most > 0) != (rollout > 0) {
		r.t.Errorf("%s: requests are held for rollout %d, for %v; want %d", when, id, most, rollout)
	}
}

// A Strict rollout is frozen, and then activated, and never activated before. A freeze is of one rollout, once.
func TestStrict(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	c := proposal(Write{Epoch: 1, Who: "me"}, "a", "2")
	c.Plan = strictly
	r.apply(c.Append(nil))
	r.held("begun", 0)
	r.want(r.apply(Activate{Rollout: 2, Ready: []string{"n1"}}.Append(nil)), Ended, "1 a=1")
	r.want(r.apply(Freeze{Rollout: 1}.Append(nil)), Ended, "1 a=1")
	r.want(r.apply(Freeze{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil)), OK, "1 a=1")
	r.held("frozen", 2)
	before := r.State()
	r.want(r.apply(Freeze{Rollout: 2, Ready: []string{"n9"}}.Append(nil)), Ended, "1 a=1")
	r.want(r.put(1, "a", "3"), Busy, "1 a=1")
	r.want(r.apply(Confirm{2, "n1", ""}.Append(nil)), Ended, "1 a=1")
	r.want(r.apply(Return{2, "n1", ""}.Append(nil)), Ended, "1 a=1")
	if r.State() != before {
		t.Error("something else has come between")
	}
	r.want(r.apply(Activate{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil)), OK, "2 a=2")
	r.held("activated", 0)
	r.want(r.apply(Abort{2, "n1", "too late"}.Append(nil)), Ended, "2 a=2")
	r.want(r.apply(Return{2, "n1", "500"}.Append(nil)), OK, "3 a=1")
	r.held("taken back", 0)
	r.want(r.put(3, "a", "3"), OK, "4 a=3")
	r.want(r.apply(Freeze{Rollout: 3}.Append(nil)), Ended, "4 a=3") // that was not Strict
}

// What is aborted while requests are held can be begun again: nothing is wrong with the release, which is kept. What
// is refused before is marked, as ever.
func TestStrictAborted(t *testing.T) {
	r := frozen(t)
	r.want(r.apply(Abort{2, "n2", "n1: 1 request is not answered"}.Append(nil)), OK, "1 a=1")
	r.held("aborted", 0)
	r.want(r.apply(Activate{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil)), Ended, "1 a=1")
	two, _ := r.State().Release(2)
	if two.Rejected != "" || two.Tried || !r.State().retains(2) {
		t.Errorf("%+v", two)
	}
	a := r.apply(Begin{Write: Write{Epoch: 1, Who: "me"}, Release: 2, Plan: strictly}.Append(nil))
	r.apply(Abort{a.Rollout, "n1", "n2: no"}.Append(nil))
	if two, _ = r.State().Release(2); two.Rejected != "n2: no" {
		t.Errorf("refused: %+v", two)
	}
}

// A Strict rollout is for all, for a time that the format allows, and not while there is a canary.
func TestStrictRefused(t *testing.T) {
	r := newRig(t)
	r.put(0, "a", "1")
	r.put(1, "a", "2")
	before := r.State()
	begin := func(change func(*Plan)) []byte {
		p := strictly
		change(&p)
		return Begin{Write: Write{Epoch: 2}, Release: 1, Plan: p}.Append(nil)
	}
	plain := Begin{Write: Write{Epoch: 2}, Release: 1}.Append(nil)
	held := proposal(Write{Epoch: 2}, "a", "3")
	held.Plan, held.Hold = strictly, true
	for name, cmd := range map[string][]byte{
		"dry":        begin(func(p *Plan) { p.Dry = true }),
		"nodes":      begin(func(p *Plan) { p.Nodes = []string{"n1"} }),
		"percent":    begin(func(p *Plan) { p.Percent = 10 }),
		"long":       begin(func(p *Plan) { p.Strict = MaxStrict + time.Millisecond }),
		"too short":  begin(func(p *Plan) { p.Strict = time.Microsecond }),
		"held":       held.Append(nil),
		"alone":      {opStrict, 10},
		"nothing":    {opStrict},
		"twice":      append([]byte{opStrict, 10, opStrict, 10}, plain...),
		"step":       append([]byte{opStrict, 10}, Confirm{2, "n1", ""}.Append(nil)...),
		"padded":     append([]byte{opStrict, 0x8a, 0}, plain...),
		"freeze":     {opFreeze},
		"freeze two": append(Freeze{Rollout: 2}.Append(nil), 0),
	} {
		if a := r.apply(cmd); a.Status != Malformed || r.State() != before {
			t.Errorf("%s: %v", name, a)
		}
	}
	r.through(r.apply(Begin{Write: Write{Epoch: 2}, Release: 1, Plan: Plan{Nodes: []string{"n1"}}}.Append(nil)))
	if a := r.apply(begin(func(*Plan) {})); a.Status != Busy {
		t.Errorf("a canary is promoted: %v", a)
	}
}

// A node that is started again holds requests as the one before did: snapshots have it. They are of a format that a
// program without Strict refuses, for as long as a Strict rollout is kept, and no longer.
func TestSnapshotOfStrict(t *testing.T) {
	r := frozen(t)
	restored := func() *Machine {
		back := NewMachine(nil)
		if err := back.Restore(bytes.NewReader(snapshotOf(r.Machine))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(snapshotOf(back), snapshotOf(r.Machine)) {
			t.Fatal("restored as something else")
		}
		return back
	}
	if b := snapshotOf(r.Machine); b[0] != formatStrict {
		t.Errorf("format %d", b[0])
	}
	was, is := r.State().Newest(), restored().State().Newest()
	if id, most := restored().State().Frozen(); id != 2 || most != strictly.Strict || !is.Frozen.Equal(was.Frozen) ||
		!slices.Equal(is.Ready, was.Ready) {
		t.Errorf("restored: %d, %v, %+v", id, most, is)
	}
	r.apply(Activate{Rollout: 2, Ready: []string{"n1", "n2"}}.Append(nil))
	restored()
	r.apply(Confirm{2, "n1", ""}.Append(nil))
	for range Kept {
		restored()
		n := r.State().Current().Number
		r.put(n, "a", string(rune('b'+n)))
	}
	if b := snapshotOf(r.Machine); b[0] != formatFirst {
		t.Errorf("in the end: format %d", b[0])
	}
	restored()
}
