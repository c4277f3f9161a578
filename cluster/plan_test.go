package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func at(node, inc, status string) *sighting {
	return &sighting{node: node, gossip: node + ".run" + inc, status: status, meta: meta{incarnation: inc, name: node, boot: 1}}
}

func servers(ids ...string) (out []raft.Server) {
	for _, id := range ids {
		s := raft.Server{ID: raft.ServerID(id[1:]), Suffrage: raft.Voter}
		if id[0] == '-' {
			s.Suffrage = raft.Nonvoter
		}
		out = append(out, s)
	}
	return out
}

func TestPlan(t *testing.T) {
	a, b, c, d := at("a", "1", Alive), at("b", "1", Alive), at("c", "1", Alive), at("d", "1", Alive)
	front := at("f", "1", Alive)
	front.role = Front
	leaving := at("b", "1", Alive)
	leaving.leaving = true
	again := at("b", "1", Alive)
	again.boot = 2
	caughtUp := map[string]bool{"a.1": true, "b.1": true, "b.2": true, "c.1": true, "d.1": true, "e.1": true, "f.1": true}
	tests := map[string]struct {
		servers []raft.Server
		nodes   []*sighting
		left    map[string]uint64
		behind  bool
		max     int
		want    change
	}{
		"alone":                        {servers("+a.1"), []*sighting{a}, nil, false, 5, change{}},
		"a new node becomes non-voter": {servers("+a.1"), []*sighting{a, b}, nil, false, 5, change{addNonvoter, "b.1"}},
		"a dead node does not":         {servers("+a.1"), []*sighting{a, at("b", "1", Dead)}, nil, false, 5, change{}},
		"two nodes have two voters":    {servers("+a.1", "-b.1"), []*sighting{a, b}, nil, false, 5, change{promote, "b.1"}},
		"not before it has caught up":  {servers("+a.1", "-b.1"), []*sighting{a, b}, nil, true, 5, change{}},
		"three have three":             {servers("+a.1", "+b.1", "-c.1"), []*sighting{a, b, c}, nil, false, 5, change{promote, "c.1"}},
		"a fourth stands by":           {servers("+a.1", "+b.1", "+c.1", "-d.1"), []*sighting{a, b, c, d}, nil, false, 5, change{}},
		"a fifth makes room for both":  {servers("+a.1", "+b.1", "+c.1", "-d.1", "-e.1"), []*sighting{a, b, c, d, at("e", "1", Alive)}, nil, false, 5, change{promote, "d.1"}},
		"MaxVoters":                    {servers("+a.1", "+b.1", "+c.1", "-d.1", "-e.1"), []*sighting{a, b, c, d, at("e", "1", Alive)}, nil, false, 3, change{}},
		"a dead voter keeps its place": {servers("+a.1", "+b.1", "+c.1", "-d.1"), []*sighting{a, b, at("c", "1", Dead), d}, nil, false, 5, change{}},
		"Front never votes":            {servers("+a.1", "-f.1"), []*sighting{a, front}, nil, false, 5, change{}},
		"Front loses the vote it had":  {servers("+a.1", "+f.1"), []*sighting{a, front}, nil, false, 5, change{demote, "f.1"}},
		"the leader too":               {servers("+f.1", "+b.1"), []*sighting{front, b}, nil, false, 5, change{demote, "f.1"}},
		"but not if nobody else votes": {servers("+f.1", "-b.1"), []*sighting{front, b}, nil, true, 5, change{}},
		"Front is a non-voter":         {servers("+a.1"), []*sighting{a, front}, nil, false, 5, change{addNonvoter, "f.1"}},
		"the old incarnation goes":     {servers("+a.1", "+b.1"), []*sighting{a, at("b", "2", Alive)}, nil, false, 5, change{remove, "b.1"}},
		"before the new one comes":     {servers("+a.1", "+b.1", "-c.1"), []*sighting{a, at("b", "2", Alive), c}, nil, false, 5, change{remove, "b.1"}},
		"not on hearsay of the dead":   {servers("+a.1", "+b.1"), []*sighting{a, at("b", "2", Dead)}, nil, false, 5, change{}},
		"never the leader itself":      {servers("+a.1"), []*sighting{at("a", "2", Alive)}, nil, false, 5, change{addNonvoter, "a.2"}},
		"a stopping node is not added": {servers("+a.1"), []*sighting{a, leaving}, nil, false, 5, change{}},
		"nor one that was let go":      {servers("+a.1"), []*sighting{a, b}, map[string]uint64{"b.1": 1}, false, 5, change{}},
		"but its next run is":          {servers("+a.1"), []*sighting{a, again}, map[string]uint64{"b.1": 1}, false, 5, change{addNonvoter, "b.1"}},
		"four voters are one too many": {servers("+a.1", "+b.1", "+c.1", "+d.1"), []*sighting{a, b, c, d}, nil, false, 5, change{demote, "d.1"}},
		"never the leader's vote":      {servers("+b.1", "+a.1"), []*sighting{a, b}, nil, false, 1, change{demote, "b.1"}},
		"not while one is away":        {servers("+a.1", "+b.1", "+c.1", "+d.1"), []*sighting{a, b, at("c", "1", Dead), d}, nil, false, 5, change{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := situation{self: "a.1", servers: tt.servers, nodes: tt.nodes, left: tt.left, maxVoters: tt.max, caughtUp: caughtUp}
			if tt.behind {
				s.caughtUp = nil
			}
			if got := s.plan(); got != tt.want {
				t.Errorf("plan: %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPlanBurial(t *testing.T) {
	const wait = 10 * time.Minute
	alive := func(ids ...string) (out []*sighting) {
		for _, id := range ids {
			out = append(out, at(id, "1", Alive))
		}
		return out
	}
	tests := map[string]struct {
		servers []raft.Server
		alive   []string
		silent  map[string]time.Duration
		standby string
		want    change
	}{
		"a stand-by replaces it":         {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"}, map[string]time.Duration{"c.1": wait}, "d.1", change{remove, "c.1"}},
		"not before its time":            {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"}, map[string]time.Duration{"c.1": wait - 1}, "d.1", change{}},
		"not by a stand-by behind":       {servers("+a.1", "+b.1", "+c.1", "-d.1"), []string{"a", "b", "d"}, map[string]time.Duration{"c.1": wait}, "", change{}},
		"of three, the third seat stays": {servers("+a.1", "+b.1", "+c.1"), []string{"a", "b"}, map[string]time.Duration{"c.1": wait}, "", change{}},
		"of two, the second stays":       {servers("+a.1", "+b.1"), []string{"a"}, map[string]time.Duration{"b.1": wait}, "", change{}},
		"of five, one stays":             {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"), []string{"a", "b", "c", "d"}, map[string]time.Duration{"e.1": wait}, "", change{}},
		"of five, two go":                {servers("+a.1", "+b.1", "+c.1", "+d.1", "+e.1"), []string{"a", "b", "c"}, map[string]time.Duration{"d.1": wait, "e.1": wait}, "", change{remove, "d.1"}},
		"the second of them, too":        {servers("+a.1", "+b.1", "+c.1", "+e.1"), []string{"a", "b", "c"}, map[string]time.Duration{"e.1": wait}, "", change{remove, "e.1"}},
		"a dead non-voter goes":          {servers("+a.1", "-b.1"), []string{"a"}, map[string]time.Duration{"b.1": wait}, "", change{remove, "b.1"}},
		"never the leader":               {servers("+a.1", "-b.1"), []string{"b"}, map[string]time.Duration{"a.1": wait}, "b.1", change{promote, "b.1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := situation{self: "a.1", servers: tt.servers, nodes: alive(tt.alive...), silent: tt.silent, maxVoters: 5,
				deadAfter: wait, caughtUp: map[string]bool{tt.standby: true}}
			if got := s.plan(); got != tt.want {
				t.Errorf("plan: %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOddVoters(t *testing.T) {
	for n, want := range []int{0, 1, 2, 3, 3, 5, 5, 5, 5} {
		if got := oddVoters(n, 5); got != want {
			t.Errorf("%d nodes: %d voters, want %d", n, got, want)
		}
	}
}
