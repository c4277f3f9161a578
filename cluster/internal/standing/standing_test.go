package standing

import (
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// full is a directory that takes nothing any more once it is full.
type full struct {
	*disk.Dir
	full bool
}

var errFull = errors.New("no space left")

func (d *full) SaveIdentity(id disk.Identity) error {
	if d.full {
		return errFull
	}
	return d.Dir.SaveIdentity(id)
}

func (d *full) SavePromise(p disk.Promise) error {
	if d.full {
		return errFull
	}
	return d.Dir.SavePromise(p)
}

// durable returns a standing in a directory of its own, at its first start.
func durable(t *testing.T) (*Standing, *full) {
	t.Helper()
	dir, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	d := &full{Dir: dir}
	s := New(disk.Identity{NodeID: "n", Incarnation: "1"}, disk.Promise{}, d)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s, d
}

// again returns what a process that is started on the directory finds.
func again(t *testing.T, d *full) *Standing {
	t.Helper()
	id, ok, err := d.Identity()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	p, err := d.Promise()
	if err != nil {
		t.Fatal(err)
	}
	return New(id, p, d)
}

// Each step leads where the diagram says, is on disk when it has been taken, and changes nothing if the disk
// is full.
func TestSteps(t *testing.T) {
	found := func(s *Standing) error { return s.Found() }
	adopt := func(cluster string) func(*Standing) error {
		return func(s *Standing) error { return s.Adopt(cluster) }
	}
	member := []func(*Standing) error{found, (*Standing).EndFounding}
	same, fresh := true, false // whether the incarnation, and its votes, go on
	tests := map[string]struct {
		before  []func(*Standing) error
		step    func(*Standing) error
		votes   bool // same or fresh
		boots   uint64
		belongs bool
		cluster string // "+" is the one before, "*" a new one
	}{
		"found":             {nil, found, same, 1, false, "*"},
		"adopt":             {nil, adopt("c"), same, 1, true, "c"},
		"adopt again":       {[]func(*Standing) error{adopt("c")}, adopt("c"), same, 1, true, "+"},
		"a second member":   {[]func(*Standing) error{found}, (*Standing).EndFounding, same, 1, true, "+"},
		"another process":   {member, (*Standing).Start, same, 2, true, "+"},
		"Raft starts again": {member, (*Standing).Restart, same, 2, true, "+"},
		"votes forgotten":   {member, (*Standing).Anew, fresh, 1, true, "+"},
		"a log lost":        {member, loseLog, fresh, 1, true, "+"},
		"no log to lose":    {nil, loseLog, same, 1, false, ""},
		"given up for c":    {member, func(s *Standing) error { return s.GiveUp("c") }, fresh, 1, true, "c"},
		"given up":          {member, func(s *Standing) error { return s.GiveUp("") }, fresh, 1, false, ""},
		"left":              {member, (*Standing).Leave, fresh, 1, false, ""},
		"the next epoch": {member, func(s *Standing) error { return s.Succeed("e2", "2", false) }, fresh,
			1, true, "e2"},
		"a founder's epochs": {[]func(*Standing) error{found},
			func(s *Standing) error { return s.Succeed("e2", "2", false) }, fresh, 1, true, "e2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, d := durable(t)
			for _, step := range tt.before {
				if err := step(s); err != nil {
					t.Fatal(err)
				}
			}
			before := s.Identity()
			if err := tt.step(s); err != nil {
				t.Fatal(err)
			}
			id := s.Identity()
			want := tt.cluster
			switch want {
			case "+":
				want = before.ClusterID
			case "*":
				want = id.ClusterID
				if len(want) != 16 {
					t.Errorf("cluster ID %q", want)
				}
			}
			if id.ClusterID != want || (id.Incarnation == before.Incarnation) != tt.votes ||
				id.Boot != tt.boots || s.Belongs() != tt.belongs {
				t.Errorf("%+v after %+v, belongs %v", id, before, s.Belongs())
			}
			if now := again(t, d).Identity(); now != id {
				t.Errorf("on disk is %+v, the node is %+v", now, id)
			}
		})
	}
}

func here(string) bool   { return true }
func nobody(string) bool { return false }

func loseLog(s *Standing) error { _, err := s.LoseLog(); return err }

// A step that the disk does not take is not taken.
func TestDiskFull(t *testing.T) {
	for name, step := range map[string]func(*Standing) error{
		"Adopt":   func(s *Standing) error { return s.Adopt("c") },
		"Found":   (*Standing).Found,
		"Start":   (*Standing).Start,
		"Leave":   (*Standing).Leave,
		"Succeed": func(s *Standing) error { return s.Succeed("c", "2", false) },
		"Promise": func(s *Standing) error { return s.Promise(s.Identity(), "m.1", "", nobody) },
	} {
		s, d := durable(t)
		id, word := s.Identity(), s.Word()
		d.full = true
		if err := step(s); !errors.Is(err, errFull) || s.Identity() != id || s.Word() != word {
			t.Errorf("%s: %v; %+v, %+v", name, err, s.Identity(), s.Word())
		}
	}
}

// A node has one farm.
func TestOtherFarm(t *testing.T) {
	s, _ := durable(t)
	if err := s.Adopt("c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Adopt("d"); !errors.Is(err, wire.ErrOtherFarm) {
		t.Errorf("adopt: %v", err)
	}
	if err := s.Found(); !errors.Is(err, wire.ErrOtherFarm) {
		t.Errorf("found: %v", err)
	}
}

// A promise binds over restarts, until what was promised about is over.
func TestPromise(t *testing.T) {
	promised := func(t *testing.T) (*Standing, *full) {
		s, d := durable(t)
		if err := errors.Join(s.Adopt("c"), s.Promise(s.Identity(), "m.1", "", nobody)); err != nil {
			t.Fatal(err)
		}
		return s, d
	}
	t.Run("binds", func(t *testing.T) {
		s, d := promised(t)
		for _, s := range []*Standing{s, again(t, d)} {
			if !s.Bound("n.1") || s.Bound("m.1") || s.MayReform("c", "n.1") {
				t.Errorf("%+v", s.Word())
			}
			if err := s.Promise(s.Identity(), "x.1", "", nobody); !errors.Is(err, wire.ErrWordGiven) {
				t.Errorf("another one gets a promise: %v", err)
			}
		}
	})
	for name, end := range map[string]func(*Standing) error{
		"Anew": (*Standing).Anew,
		"taking part again": func(s *Standing) error {
			if !s.Resume("m.1", 0) {
				t.Error("nothing keeps it from taking part again")
			}
			return s.Restart()
		},
		"GiveUp":     func(s *Standing) error { return s.GiveUp("d") },
		"LoseLog":    loseLog,
		"Succeed":    func(s *Standing) error { return s.Succeed("c2", "2", false) },
		"taken back": func(s *Standing) error { return s.Promise(s.Identity(), "", "m.1", nobody) },
	} {
		t.Run(name, func(t *testing.T) {
			s, d := promised(t)
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Standing{s, again(t, d)} {
				if s.Bound(s.Server()) {
					t.Errorf("%+v", s.Word())
				}
			}
		})
	}
	t.Run("Raft starts again", func(t *testing.T) { // for another reason than that the node takes part again
		s, d := promised(t)
		was := s.Identity()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Standing{s, again(t, d)} {
			if !s.Bound(s.Server()) {
				t.Errorf("%+v", s.Word())
			}
		}
		if err := s.Promise(was, "x.1", "m.1", nobody); !errors.Is(err, wire.ErrWordGiven) {
			t.Errorf("one instance has ended, and the next is to be bound: %v", err)
		}
	})
	t.Run("to itself", func(t *testing.T) {
		s, d := durable(t)
		if err := errors.Join(s.Adopt("c"), s.Promise(s.Identity(), "n.1", "", nobody)); err != nil {
			t.Fatal(err)
		}
		if !s.MayReform("c", "n.1") || s.Bound("n.1") {
			t.Errorf("%+v", s.Word())
		}
		if again(t, d).MayReform("c", "n.1") {
			t.Error("after a restart its Raft runs, and it may re-form the farm")
		}
	})
}

// A node that is to take part again promises nothing until it does. While a node re-forms the farm it cannot
// take part again.
func TestResume(t *testing.T) {
	s, _ := durable(t)
	if err := errors.Join(s.Adopt("c"), s.Promise(s.Identity(), "n.1", "", nobody)); err != nil {
		t.Fatal(err)
	}
	if !s.BeginReform() || s.Resume("n.1", 0) {
		t.Error("it takes part in the old epoch while it re-forms the farm")
	}
	s.EndReform()
	s.StandDown()
	if s.Resume("n.1", time.Hour) || s.Resume("m.1", 0) {
		t.Error("it was just asked to stand down, or has promised something else")
	}
	if !s.Resume("n.1", 0) || s.BeginReform() || s.MayReform("c", "n.1") {
		t.Error("it both takes part again and re-forms the farm")
	}
	if err := s.Promise(s.Identity(), "m.1", "n.1", nobody); !errors.Is(err, wire.ErrWordGiven) {
		t.Errorf("it promises to follow: %v", err)
	}
	if err := s.Restart(); err != nil || s.Word().Resuming || !s.BeginReform() {
		t.Errorf("after the restart: %+v, %v", s.Word(), err)
	}
}

func TestPledge(t *testing.T) {
	s, _ := durable(t)
	for range 2 {
		if !s.Pledge("a") {
			t.Error("who has the pledge is refused")
		}
	}
	if s.Pledge("b") {
		t.Error("two founders have the pledge")
	}
	s.pledge.until = time.Now()
	if !s.Pledge("b") {
		t.Error("a pledge ends")
	}
}

func TestClaim(t *testing.T) {
	s, _ := durable(t)
	if err := s.Adopt("c"); err != nil {
		t.Fatal(err)
	}
	claim := func(by string, alive func(string) bool) error {
		return s.Claim("c", by, time.Minute, time.Minute, alive)
	}
	if err := claim("a", here); err != nil || s.ClaimedBy(here) != "a" {
		t.Fatal(err)
	}
	if err := claim("b", here); !errors.Is(err, wire.ErrWordGiven) {
		t.Errorf("two have the claim: %v", err)
	}
	if err := s.Claim("d", "a", time.Minute, time.Minute, here); !errors.Is(err, wire.ErrOtherFarm) {
		t.Errorf("a claim of another farm: %v", err)
	}
	if err := s.GiveBack("c", "b"); err != nil || s.ClaimedBy(here) != "a" {
		t.Errorf("b gave back what a has: %v", err)
	}
	if err := claim("b", nobody); err != nil || s.ClaimedBy(here) != "b" {
		t.Errorf("a is gone, and its claim stays: %v", err)
	}
	if err := s.GiveBack("c", "b"); err != nil || s.ClaimedBy(here) != "" {
		t.Errorf("given back: %v", err)
	}
	s.StandDown()
	if err := s.Promise(s.Identity(), "m.1", "", nobody); err != nil {
		t.Fatal(err)
	}
	if err := claim("a", here); !errors.Is(err, wire.ErrWordGiven) {
		t.Errorf("it follows m, and a has the claim: %v", err)
	}
	if err := claim("m", here); err != nil {
		t.Errorf("the one that it follows: %v", err)
	}
}

// A node that has the claim, and is alive, re-forms the farm. That is promised to no other one.
func TestClaimBindsPromises(t *testing.T) {
	for name, tt := range map[string]struct {
		heir  string
		alive func(s *Standing) func(node string) bool
		want  error
	}{
		"another one":         {"m.1", func(*Standing) func(string) bool { return here }, wire.ErrWordGiven},
		"that one":            {"a.1", func(*Standing) func(string) bool { return here }, nil},
		"another, it is gone": {"m.1", func(*Standing) func(string) bool { return nobody }, nil},
		"another, and a third one was faster": {"m.1", func(s *Standing) func(string) bool {
			return func(string) bool {
				if err := s.Claim("c", "b", time.Minute, time.Minute, nobody); err != nil {
					t.Error(err)
				}
				return false
			}
		}, wire.ErrWordGiven},
	} {
		s, _ := durable(t)
		if err := errors.Join(s.Adopt("c"), s.Claim("c", "a", time.Minute, time.Minute, nobody)); err != nil {
			t.Fatal(err)
		}
		if err := s.Promise(s.Identity(), tt.heir, "", tt.alive(s)); !errors.Is(err, tt.want) ||
			(err == nil) != (s.Word().Successor == tt.heir) {
			t.Errorf("%s: %v, promised to %q", name, err, s.Word().Successor)
		}
	}
}

// Of two that ask at once one gets the claim, whatever each of them knew when it began to ask.
func TestClaimOfTwoAtOnce(t *testing.T) {
	s, _ := durable(t)
	if err := s.Adopt("c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Claim("c", "gone", time.Minute, time.Minute, nobody); err != nil {
		t.Fatal(err)
	}
	meanwhile := func(string) bool { // b is faster, while it is found out for a that the one before is gone
		if err := s.Claim("c", "b", time.Minute, time.Minute, nobody); err != nil {
			t.Error(err)
		}
		return false
	}
	if err := s.Claim("c", "a", time.Minute, time.Minute, meanwhile); !errors.Is(err, wire.ErrWordGiven) {
		t.Errorf("two have the claim: %v", err)
	}
}
