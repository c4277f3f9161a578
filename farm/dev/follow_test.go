package dev

import (
	"slices"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func TestChanges(t *testing.T) {
	two := []admin.Member{{Name: "n1", Status: "alive", Vote: "voter", Leader: true}, {Name: "n2", Status: "alive", Vote: "voter"}}
	other := func(m admin.Member) []admin.Member { return append(slices.Clone(two), m) }
	replaced := []admin.Member{two[0], {Name: "n2", Status: "dead", Vote: "voter"}, {Name: "n2", Status: "alive"}}
	leaderless := []admin.Member{{Name: "n1", Status: "alive", Vote: "voter"}, two[1]}
	for what, test := range map[string]struct {
		before, now []admin.Member
		want        []string
	}{
		"nothing":                      {two, two, nil},
		"a node joins":                 {two, other(admin.Member{Name: "n3", Status: "alive"}), []string{"n3 joined"}},
		"a node dies":                  {two, replaced[:2], []string{"n2 does not answer"}},
		"a node stops":                 {two, []admin.Member{two[0], {Name: "n2", Status: "stopped", Vote: "voter"}}, []string{"n2 has stopped"}},
		"a node leaves":                {two, []admin.Member{two[0], {Name: "n2", Status: "left", Vote: "voter"}}, []string{"n2 has left"}},
		"a dead one is removed":        {replaced[:2], two[:1], nil},
		"one of the same name":         {two, other(admin.Member{Name: "n2", Status: "alive"}), nil},
		"one of the same name, leaves": {two, other(admin.Member{Name: "n2", Status: "left"}), nil},
		"one in the place of a dead":   {replaced[:2], replaced, []string{"n2 is there"}},
		"a leader is lost":             {two, leaderless, []string{"no leader: sessions can be read, not changed"}},
		"a leader is found":            {leaderless, two, []string{"n1 leads"}},
	} {
		got := changes(viewOf(admin.Farm{Members: test.before}), viewOf(admin.Farm{Members: test.now}))
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", what, got, test.want)
		}
	}
}
