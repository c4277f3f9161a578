package farm

import (
	"fmt"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// TestRolloutsHaveSomebody: one node carries rollouts on, also where the leader is a node without this package.
func TestRolloutsHaveSomebody(t *testing.T) {
	with := map[string]string{tagReleases: "1"}
	all := []cluster.Member{{ID: "a", Status: cluster.Alive}, {ID: "b", Status: cluster.Dead, Tags: with},
		{ID: "c", Status: cluster.Alive, Tags: with}, {ID: "d", Status: cluster.Alive, Tags: with}}
	for leader, want := range map[string]string{"": "", "d": "d", "c": "c", "a": "c"} {
		got := ""
		for _, self := range []string{"c", "d"} {
			if carriesOn(cluster.State{Members: all, Leader: leader, Self: self}) {
				got += self
			}
		}
		if got != want {
			t.Errorf("%q leads: rollouts are carried on by %q, want %q", leader, got, want)
		}
	}
}

// TestMembersTakePartOnce: a node that lost its data is a member twice for a while, and is asked once.
func TestMembersTakePartOnce(t *testing.T) {
	with := map[string]string{tagReleases: "1"}
	st := cluster.State{Members: []cluster.Member{{ID: "1", Name: "n1", Status: cluster.Dead, Vote: cluster.Voter, Tags: with},
		{ID: "2", Name: "n1", Status: cluster.Alive, Tags: with},
		{ID: "3", Name: "n1", Status: cluster.Dead, Vote: cluster.Voter, Tags: with},
		{ID: "6", Name: "n6", Status: cluster.Dead, Tags: with},
		{ID: "7", Name: "n7", Status: cluster.Dead, Tags: with, Removed: true},
		{ID: "4", Name: "n2", Status: cluster.Left, Tags: with}, {ID: "5", Name: "n3", Status: cluster.Alive}}}
	if got := fmt.Sprint(takePart(st)); got != "[{n1  true false false} {n6  false false true}]" {
		t.Error(got)
	}
}

// TestMayServe: for a Strict rollout it is not enough that a name is there. A node that another one has taken the name
// of, one that nobody has seen, and one that the farm has given up may serve. One that an operator has removed does not.
func TestMayServe(t *testing.T) {
	with := map[string]string{tagReleases: knowsStrict}
	st := cluster.State{Unseen: []string{"0f"}, Members: []cluster.Member{
		{ID: "1", Name: "n1", Status: cluster.Dead, Vote: cluster.Voter, Tags: with},
		{ID: "2", Name: "n1", Status: cluster.Alive, Vote: cluster.Voter, Tags: with},
		{ID: "3", Name: "n2", Status: cluster.Alive, Vote: cluster.Nonvoter, Tags: map[string]string{tagReleases: "1"}},
		{ID: "4", Name: "n2", Status: cluster.Dead, Tags: with, Removed: true},
		{ID: "6", Name: "n4", Addr: "a:1", Status: cluster.Dead, Tags: with},
		{ID: "7", Name: "n5", Addr: "a:2", Status: cluster.Alive, Vote: cluster.Voter, Tags: with},
		{ID: "8", Name: "n5", Addr: "a:2", Status: cluster.Dead, Tags: with}, // the process of before
		{ID: "5", Name: "n3", Status: cluster.Dead, Vote: cluster.Voter, Tags: with}}}
	if got := fmt.Sprint(mayServe(st)); got != "[0f another n1 n4, which was silent for so long that "+
		"the farm has given it up]" {
		t.Error(got)
	}
	if got := fmt.Sprint(takePart(st)); got != "[{n1  true true false} {n2  true false false} {n4  false true true} "+
		"{n5  true true false} {n3  false true false}]" {
		t.Error(got)
	}
}
