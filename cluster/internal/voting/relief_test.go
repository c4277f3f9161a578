package voting

import (
	"testing"
	"time"
)

// how nodes of the tables below are: by the letter after their name.
func how(words ...string) (out []Node) {
	for _, w := range words {
		n := at(w[:1], "1", true)
		switch w[1:] {
		case " retires":
			n.Retiring = true
		case " leaves":
			n.Leaving = true
		case " stopped":
			n.Alive, n.Leaving, n.Stopped = false, true, true
		case " died":
			n.Alive = false
		case " retired":
			n.Alive, n.Retiring = false, true // it was killed before it stopped
		case " is front":
			n.Ordinary = false
		}
		out = append(out, n)
	}
	return out
}

// The seat of a voter that stops goes to a stand-by: first the one vote is taken, then the other given,
// unless those who stay are no majority.
func TestPlanRelief(t *testing.T) {
	tests := map[string]struct {
		servers  []Server
		nodes    []Node
		caughtUp string
		max      int
		want     Change
	}{
		"a seat is freed": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d"), "d.1", 5, Change{Demote, "b.1"}},
		"and taken": {servers("+a.1", "-b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d"), "d.1", 5, Change{Promote, "d.1"}},
		"and then nothing": {servers("+a.1", "-b.1", "+c.1", "+d.1"),
			how("a", "b stopped", "c", "d"), "", 5, Change{}},
		"who comes back stands by": {servers("+a.1", "-b.1", "+c.1", "+d.1"), how("a", "b", "c", "d"),
			"b.1", 5, Change{}},
		"before it has stopped": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retires", "c", "d"), "d.1", 5, Change{Demote, "b.1"}},
		"or while it does": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b leaves", "c", "d"), "d.1", 5, Change{Demote, "b.1"}},
		"also if it was killed then": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retired", "c", "d"), "d.1", 5, Change{Demote, "b.1"}},
		"not to one that is behind": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d"), "", 5, Change{}},
		"not to one that stops as well": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d retires"), "d.1", 5, Change{}},
		"not to a front": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d is front"), "d.1", 5, Change{}},
		"not that of one without a word": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b died", "c", "d"), "d.1", 5, Change{}},
		"one after the other, of two": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1", "-f.1", "-g.1"),
			how("a", "b stopped", "c stopped", "d", "e", "f", "g"), "f.1", 5, Change{Demote, "b.1"}},
		"the second when the first is": {servers("+a.1", "-b.1", "+c.1", "+d.1", "+e.1", "-f.1", "-g.1"),
			how("a", "b stopped", "c stopped", "d", "e", "f", "g"), "", 5, Change{}},
		"who is gone before who goes": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1", "-f.1"),
			how("a", "b retires", "c stopped", "d", "e", "f"), "f.1", 5, Change{Demote, "c.1"}},
		"it goes before a new seat": {servers("+a.1", "+b.1", "+c.1", "-d.1", "-e.1"),
			how("a", "b stopped", "c", "d", "e"), "d.1", 5, Change{Demote, "b.1"}},
		"not by a leader that is closed": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a leaves", "b stopped", "c", "d"), "d.1", 5, Change{}},
		"by one that only retires": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a retires", "b stopped", "c", "d"), "d.1", 5, Change{Promote, "d.1"}},
		"nor that of the leader": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a leaves", "b", "c", "d"), "d.1", 5, Change{}},
		"of two, none is left over": {servers("+a.1", "+b.1", "-d.1"), how("a", "b stopped", "d"),
			"d.1", 2, Change{Demote, "b.1"}},
		"with MaxVoters 1 nothing": {servers("+a.1", "-d.1"), how("a", "d"), "d.1", 1, Change{}},
		"lost without it: first the heir": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retires", "c died", "d"), "d.1", 5, Change{Promote, "d.1"}},
		"then it goes": {servers("+a.1", "+b.1", "+c.1", "+d.1"),
			how("a", "b retires", "c died", "d"), "", 5, Change{Demote, "b.1"}},
		"lost already: not the heir": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c died", "d"), "d.1", 5, Change{}},
		"one gone, one going": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retires", "c stopped", "d"), "d.1", 5, Change{Promote, "d.1"}},
		"the gone one first": {servers("+a.1", "+b.1", "+c.1", "+d.1"),
			how("a", "b retires", "c stopped", "d"), "", 5, Change{Demote, "c.1"}},
		"four voters: the one that stops": {servers("+a.1", "+b.1", "+c.1", "+d.1"),
			how("a", "b stopped", "c", "d"), "", 5, Change{Demote, "b.1"}},
		"an heir that cannot help is none": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1", "-f.1"),
			how("a", "b retires", "c died", "d died", "e leaves", "f"), "f.1", 5, Change{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Situation{Self: "a.1", Servers: tt.servers, Nodes: tt.nodes, MaxVoters: tt.max,
				CaughtUp: map[string]bool{tt.caughtUp: true}}
			if got := s.Plan(); got != tt.want {
				t.Errorf("plan: %+v, want %+v", got, tt.want)
			}
		})
	}
}

// While nobody knows whose copy is right, no vote is moved.
func TestPlanReliefUndecided(t *testing.T) {
	s := Situation{Self: "a.1", Servers: servers("+a.1", "+b.1", "+c.1", "-d.1"),
		Nodes:     how("a", "b stopped", "c", "d"),
		MaxVoters: 5, CaughtUp: map[string]bool{"d.1": true}, Undecided: true}
	if got := s.Plan(); got.Kind != Keep {
		t.Errorf("plan: %+v", got)
	}
	if s.VoteComes("d.1") || s.ReliefComes("b.1") {
		t.Error("a vote is promised that is not moved")
	}
}

// Whichever nodes stop, die or stand by, no step of a plan takes from the voters that live and stay the
// majority that they had. Nor does it take a voter that they need to carry the step out.
func TestPlanReliefKeepsTheMajority(t *testing.T) {
	ways := []string{"", " retires", " leaves", " stopped", " died"}
	const nodes = 6
	for code := range pow(len(ways), nodes-1) {
		words, c := []string{"a"}, code
		for i := 1; i < nodes; i++ {
			words = append(words, string(rune('a'+i))+ways[c%len(ways)])
			c /= len(ways)
		}
		for _, voters := range []int{2, 3, 4, 5} {
			var ids []string
			for i := range nodes {
				ids = append(ids, map[bool]string{true: "+", false: "-"}[i < voters]+string(rune('a'+i))+".1")
			}
			s := &Situation{Self: "a.1", Servers: servers(ids...), Nodes: how(words...), MaxVoters: 5,
				CaughtUp: map[string]bool{"c.1": true, "d.1": true, "e.1": true, "f.1": true}}
			checkRelief(t, s, words)
		}
	}
}

func pow(b, e int) int {
	n := 1
	for range e {
		n *= b
	}
	return n
}

func checkRelief(t *testing.T, s *Situation, words []string) {
	t.Helper()
	before, living := s.Majority("", s.Lives)
	_, staying := s.Majority("", s.Stays)
	if living <= before/2 {
		return // there is no leader
	}
	c := s.planRelief()
	if c.Kind == Keep {
		return
	}
	after := *s
	after.byID, after.byNode, after.Servers = nil, nil, nil
	for _, srv := range s.Servers {
		if srv.ID == c.Server {
			srv.Votes = c.Kind == Promote
		}
		after.Servers = append(after.Servers, srv)
	}
	voters, lives := after.Majority("", after.Lives)
	_, stays := after.Majority("", after.Stays)
	if lives <= voters/2 || staying > before/2 && stays <= voters/2 {
		t.Fatalf("%v, %d voters: %+v leaves %d of %d voters, %d of them stay", words, before, c, lives,
			voters, stays)
	}
}

// A non-voter is to be ready only when no vote is about to be given.
func TestVoteComes(t *testing.T) {
	tests := map[string]struct {
		servers []Server
		nodes   []Node
		max     int
		want    bool
	}{
		"two of two": {servers("+a.1", "-d.1"), how("a", "d"), 5, true},
		"a fourth": {servers("+a.1", "+b.1", "+c.1", "-d.1"), how("a", "b", "c", "d"),
			5, false},
		"MaxVoters": {servers("+a.1", "-d.1"), how("a", "d"), 1, false},
		"the seat of one that stopped": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d"), 5, true},
		"of one that will": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retires", "c", "d"), 5, true},
		"MaxVoters, one stopped": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c", "d"), 3, true},
		"not of one that died": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b died", "c", "d"), 5, false},
		"who stops itself": {servers("+a.1", "-d.1"), how("a", "d retires"), 5, false},
		"a front":          {servers("+a.1", "-d.1"), how("a", "d is front"), 5, false},
		"who votes":        {servers("+a.1", "+d.1"), how("a", "d"), 5, false},
		"who is not in":    {servers("+a.1"), how("a", "d"), 5, false},
		"a seat that cannot be given": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b stopped", "c died", "d"), 5, false},
		"the leader stops, nobody gives": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a leaves", "b stopped", "c", "d"), 5, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Situation{Self: "a.1", Servers: tt.servers, Nodes: tt.nodes, MaxVoters: tt.max}
			if got := s.VoteComes("d.1"); got != tt.want {
				t.Errorf("a vote comes: %v, want %v", got, tt.want)
			}
		})
	}
}

// A dead voter that is given up is replaced by the next that catches up; before that its seat is its own.
func TestVoteComesOfTheDead(t *testing.T) {
	for silent, want := range map[time.Duration]bool{time.Minute: true, time.Minute - 1: false} {
		s := Situation{Self: "a.1", Servers: servers("+a.1", "+b.1", "+c.1", "-d.1"),
			Nodes:     how("a", "b died", "c", "d"),
			MaxVoters: 5, Silent: map[string]time.Duration{"b.1": silent}, DeadAfter: time.Minute}
		if got := s.VoteComes("d.1"); got != want {
			t.Errorf("silent for %v: a vote comes: %v", silent, got)
		}
	}
}

// The node a stops. Whether the others need it, and whether somebody could take its place.
func TestNeeded(t *testing.T) {
	tests := map[string]struct {
		servers []Server
		nodes   []Node
		leaves  bool
		needed  bool
		relief  bool
	}{
		"alone": {servers("+a.1"), how("a"), false, true, false},
		"two, which become one": {servers("+a.1", "+b.1"), how("a", "b"), false, false,
			false},
		"two, and the other stops": {servers("+a.1", "+b.1"), how("a", "b retires"), false,
			true, false},
		"two, and the other is dead": {servers("+a.1", "+b.1"), how("a", "b died"), false, true,
			false},
		"three": {servers("+a.1", "+b.1", "+c.1"), how("a", "b", "c"),
			false, false, false},
		"three that all stop": {servers("+a.1", "+b.1", "+c.1"),
			how("a", "b leaves", "c retires"), false, true, false},
		"three, one is dead": {servers("+a.1", "+b.1", "+c.1"), how("a", "b", "c died"),
			false, true, false},
		"and leaves": {servers("+a.1", "+b.1", "+c.1"), how("a", "b", "c died"),
			true, true, false},
		"a stand-by could": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b", "c died", "d"), false, true, true},
		"one that has just come could": {servers("+a.1", "+b.1", "+c.1"),
			how("a", "b", "c stopped", "d"), false, true, true},
		"a front could not": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b", "c died", "d is front"), false, true, false},
		"one that stops could not": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b", "c died", "d retires"), false, true, false},
		"one is too few": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			how("a", "b retires", "c died", "d"), false, true, false},
		"two would be, but nobody gives": {servers("+a.1", "+b.1", "+c.1"),
			how("a", "b retires", "c died", "d", "e"), false, true, false},
		"the only voter waits for a second": {servers("+a.1", "-d.1"), how("a", "d"), false, true,
			true},
		"of two with one dead, a third is no use": {servers("+a.1", "+b.1", "-d.1"), how("a", "b died", "d"),
			false, true, false},
		"five, two are away": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"),
			how("a", "b", "c", "d died", "e died"), false, true, false},
		"five, and it leaves": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"),
			how("a", "b", "c", "d", "e died"), true, false, false},
		"who has no vote": {servers("-a.1", "+b.1"), how("a", "b died"), false, false,
			false},
		"who is not in": {servers("+b.1"), how("a", "b"), false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Situation{Self: "a.1", Servers: tt.servers, Nodes: tt.nodes, MaxVoters: 5}
			if got := s.Needed("a.1", tt.leaves); got != tt.needed {
				t.Errorf("needed: %v", got)
			}
			if got := s.ReliefComes("a.1"); tt.needed && got != tt.relief {
				t.Errorf("a relief comes: %v", got)
			}
		})
	}
}
