package voting

import (
	"strings"
	"testing"
	"time"
)

func at(node, inc string, alive bool) Node {
	return Node{ID: node, Server: node + "." + inc, Boot: 1, Alive: alive, Ordinary: true}
}

func servers(ids ...string) (out []Server) {
	for _, id := range ids {
		node, _, _ := strings.Cut(id[1:], ".")
		out = append(out, Server{ID: id[1:], Node: node, Votes: id[0] == '+'})
	}
	return out
}

func TestPlan(t *testing.T) {
	a, b, c, d := at("a", "1", true), at("b", "1", true), at("c", "1", true), at("d", "1", true)
	front := at("f", "1", true)
	front.Ordinary = false
	leaving := at("b", "1", true)
	leaving.Leaving = true
	again := at("b", "1", true)
	again.Boot = 2
	caughtUp := map[string]bool{"a.1": true, "b.1": true, "b.2": true, "c.1": true, "d.1": true, "e.1": true,
		"f.1": true}
	tests := map[string]struct {
		servers []Server
		nodes   []Node
		left    map[string]uint64
		behind  bool
		max     int
		want    Change
	}{
		"alone": {servers("+a.1"), []Node{a}, nil, false, 5, Change{}},
		"a new node becomes non-voter": {servers("+a.1"), []Node{a, b}, nil, false, 5,
			Change{AddNonvoter, "b.1"}},
		"a dead node does not": {servers("+a.1"), []Node{a, at("b", "1", false)}, nil, false, 5,
			Change{}},
		"two nodes have two voters": {servers("+a.1", "-b.1"), []Node{a, b}, nil, false, 5,
			Change{Promote, "b.1"}},
		"not before it has caught up": {servers("+a.1", "-b.1"), []Node{a, b}, nil, true, 5, Change{}},
		"three have three": {servers("+a.1", "+b.1", "-c.1"), []Node{a, b, c}, nil, false, 5,
			Change{Promote, "c.1"}},
		"a fourth stands by": {servers("+a.1", "+b.1", "+c.1", "-d.1"), []Node{a, b, c, d}, nil,
			false, 5, Change{}},
		"a fifth makes room for both": {servers("+a.1", "+b.1", "+c.1", "-d.1", "-e.1"),
			[]Node{a, b, c, d, at("e", "1", true)}, nil, false, 5, Change{Promote, "d.1"}},
		"MaxVoters": {servers("+a.1", "+b.1", "+c.1", "-d.1", "-e.1"),
			[]Node{a, b, c, d, at("e", "1", true)}, nil, false, 3, Change{}},
		"a dead voter keeps its place": {servers("+a.1", "+b.1", "+c.1", "-d.1"),
			[]Node{a, b, at("c", "1", false), d}, nil, false, 5, Change{}},
		"Front never votes": {servers("+a.1", "-f.1"), []Node{a, front}, nil, false, 5, Change{}},
		"Front loses the vote it had": {servers("+a.1", "+f.1"), []Node{a, front}, nil, false, 5,
			Change{Demote, "f.1"}},
		"the leader too": {servers("+f.1", "+b.1"), []Node{front, b}, nil, false, 5,
			Change{Demote, "f.1"}},
		"not while its vote is needed": {servers("+a.1", "+f.1", "+c.1"),
			[]Node{a, front, at("c", "1", false)}, nil, false, 5, Change{}},
		"a stand-by votes before that": {servers("+a.1", "+f.1", "+c.1", "-d.1"),
			[]Node{a, front, at("c", "1", false), d}, nil, false, 5, Change{Promote, "d.1"}},
		"and then its vote goes": {servers("+a.1", "+f.1", "+c.1", "+d.1"),
			[]Node{a, front, at("c", "1", false), d}, nil, false, 5, Change{Demote, "f.1"}},
		"but not if nobody else votes": {servers("+f.1", "-b.1"), []Node{front, b}, nil, true, 5, Change{}},
		"Front is a non-voter": {servers("+a.1"), []Node{a, front}, nil, false, 5,
			Change{AddNonvoter, "f.1"}},
		"the old incarnation goes": {servers("+a.1", "+b.1"), []Node{a, at("b", "2", true)}, nil, false,
			5, Change{Remove, "b.1"}},
		"before the new one comes": {servers("+a.1", "+b.1", "-c.1"), []Node{a, at("b", "2", true), c},
			nil, false, 5, Change{Remove, "b.1"}},
		"not on hearsay of the dead": {servers("+a.1", "+b.1"), []Node{a, at("b", "2", false)}, nil, false,
			5, Change{}},
		"never the leader itself": {servers("+a.1"), []Node{at("a", "2", true)}, nil, false, 5,
			Change{AddNonvoter, "a.2"}},
		"a stopping node is not added": {servers("+a.1"), []Node{a, leaving}, nil, false, 5, Change{}},
		"nor one that was let go": {servers("+a.1"), []Node{a, b}, map[string]uint64{"b.1": 1}, false, 5,
			Change{}},
		"but its next run is": {servers("+a.1"), []Node{a, again}, map[string]uint64{"b.1": 1},
			false, 5, Change{AddNonvoter, "b.1"}},
		"four voters are one too many": {servers("+a.1", "+b.1", "+c.1", "+d.1"), []Node{a, b, c, d}, nil,
			false, 5, Change{Demote, "d.1"}},
		"never the leader's vote": {servers("+b.1", "+a.1"), []Node{a, b}, nil, false, 1,
			Change{Demote, "b.1"}},
		"not while one is away": {servers("+a.1", "+b.1", "+c.1", "+d.1"),
			[]Node{a, b, at("c", "1", false), d}, nil, false, 5, Change{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Situation{Self: "a.1", Servers: tt.servers, Nodes: tt.nodes, Left: tt.left,
				MaxVoters: tt.max, CaughtUp: caughtUp}
			if tt.behind {
				s.CaughtUp = nil
			}
			if got := s.Plan(); got != tt.want {
				t.Errorf("plan: %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPlanBurial(t *testing.T) {
	const wait = 10 * time.Minute
	alive := func(ids ...string) (out []Node) {
		for _, id := range ids {
			out = append(out, at(id, "1", true))
		}
		return out
	}
	tests := map[string]struct {
		servers []Server
		alive   []string
		silent  map[string]time.Duration
		standby string
		want    Change
	}{
		"a stand-by replaces it": {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"},
			map[string]time.Duration{"c.1": wait}, "d.1", Change{Remove, "c.1"}},
		"not before its time": {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"},
			map[string]time.Duration{"c.1": wait - 1}, "d.1", Change{}},
		"not by a stand-by behind": {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"},
			map[string]time.Duration{"c.1": wait}, "", Change{}},
		"of three, the third seat stays": {servers("+a.1", "+b.1", "+c.1"), []string{"a", "b"},
			map[string]time.Duration{"c.1": wait}, "", Change{}},
		"of two, the second stays": {servers("+a.1", "+b.1"), []string{"a"},
			map[string]time.Duration{"b.1": wait}, "", Change{}},
		"of five, one stays": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"),
			[]string{"a", "b", "c", "d"}, map[string]time.Duration{"e.1": wait}, "", Change{}},
		"of five, two go": {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"), []string{"a", "b",
			"c"}, map[string]time.Duration{"d.1": wait, "e.1": wait}, "", Change{Remove, "d.1"}},
		"the second of them, too": {servers("+a.1", "+b.1", "+c.1", "+e.1"), []string{"a", "b", "c"},
			map[string]time.Duration{"e.1": wait}, "", Change{Remove, "e.1"}},
		"a dead non-voter goes": {servers("+a.1", "-b.1"), []string{"a"},
			map[string]time.Duration{"b.1": wait}, "", Change{Remove, "b.1"}},
		"never the leader": {servers("+a.1", "-b.1"), []string{"b"},
			map[string]time.Duration{"a.1": wait}, "b.1", Change{Promote, "b.1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Situation{Self: "a.1", Servers: tt.servers, Nodes: alive(tt.alive...), Silent: tt.silent,
				MaxVoters: 5,
				DeadAfter: wait, CaughtUp: map[string]bool{tt.standby: true}}
			if got := s.Plan(); got != tt.want {
				t.Errorf("plan: %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOddVoters(t *testing.T) {
	for n, want := range []int{0, 1, 2, 3, 3, 5, 5, 5, 5} {
		if got := OddVoters(n, 5); got != want {
			t.Errorf("%d nodes: %d voters, want %d", n, got, want)
		}
	}
}
