package dev

import (
	"slices"
	"testing"
)

func TestChanges(t *testing.T) {
	three := []memberView{{Name: "n1", Status: "alive", Role: "voter"}, {Name: "n2", Status: "alive", Role: "voter"}}
	other := func(m memberView) []memberView { return append(slices.Clone(three), m) }
	replaced := []memberView{three[0], {Name: "n2", Status: "dead", Role: "voter"}, {Name: "n2", Status: "alive"}}
	for what, test := range map[string]struct {
		before, now []memberView
		leader      string
		want        []string
	}{
		"nothing":                      {three, three, "n1", nil},
		"a node joins":                 {three, other(memberView{Name: "n3", Status: "alive"}), "n1", []string{"n3 joined"}},
		"a node dies":                  {replaced[:2], three[:1], "n1", nil},
		"one of the same name":         {three, other(memberView{Name: "n2", Status: "alive"}), "n1", nil},
		"one of the same name, leaves": {three, other(memberView{Name: "n2", Status: "left"}), "n1", nil},
		"one in the place of a dead":   {replaced[:2], replaced, "n1", []string{"n2 is alive"}},
		"a leader is lost":             {three, three, "", []string{"no leader: carts can be read, not changed"}},
	} {
		got := changes(farmView{"n1", test.before}, farmView{test.leader, test.now})
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", what, got, test.want)
		}
	}
}
