package rolling

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

var startedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// farmOf returns a farm of members that serve and vote, the first of which leads; change changes each by
// its number, from 1 on.
func farmOf(n int, durable bool, change func(i int, m *admin.Member)) admin.Farm {
	f := admin.Farm{Name: "shop", Quorum: true, Durable: durable}
	for i := 1; i <= n; i++ {
		name := "n" + string(rune('0'+i))
		m := admin.Member{ID: "id" + name, Name: name, Status: admin.Alive, Role: "ordinary",
			Vote: admin.Voter, Leader: i == 1,
			Started: startedAt, Tags: map[string]string{"gate": "ready", "app": "shop"}}
		if change != nil {
			change(i, &m)
		}
		f.Members = append(f.Members, m)
	}
	return f
}

func TestOrder(t *testing.T) {
	f := farmOf(4, true, func(i int, m *admin.Member) {
		if i == 3 {
			m.Status = admin.Dead
		}
	})
	var names []string
	for _, m := range Order(f) {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "n2 n4 n1" {
		t.Error(got)
	}
}

// What a farm can do without, and why not.
func TestSpares(t *testing.T) {
	set := func(who int, how func(*admin.Member)) func(int, *admin.Member) {
		return func(i int, m *admin.Member) {
			if i == who {
				how(m)
			}
		}
	}
	gate := func(word string) func(*admin.Member) {
		return func(m *admin.Member) { m.Tags = map[string]string{"app": "shop", "gate": word} }
	}
	for name, c := range map[string]struct {
		n      int
		memory bool
		change func(int, *admin.Member)
		floor  int
		want   string // of the refusal; "" = it can do without n1
	}{
		"three":        {n: 3},
		"two, durable": {n: 2},
		"two, memory":  {n: 2, memory: true},
		"one":          {n: 1, want: "it takes 1 to write anything"},
		"another is dead": {n: 3, change: set(2, func(m *admin.Member) { m.Status = admin.Dead }),
			want: "1 of 3 voters"},
		"of five": {n: 5, change: set(2, func(m *admin.Member) { m.Status = admin.Dead }),
			want: "n2 is dead; say -floor 3"},
		"of five, floor": {n: 5, change: set(2, func(m *admin.Member) { m.Status = admin.Dead }),
			floor: 3},
		"of five, high floor": {n: 5, change: set(2, func(m *admin.Member) { m.Status = admin.Dead }),
			floor: 4, want: "3 would serve"},
		"another is stopping": {n: 5, change: set(2, func(m *admin.Member) { m.Leaving = true }),
			want: "n2 stops"},
		"another drains":      {n: 3, change: set(3, gate("draining")), want: "n3 is draining"},
		"another has drained": {n: 3, change: set(3, gate("drained")), want: "n3 is drained"},
		"another begins":      {n: 3, change: set(3, gate("")), want: "n3 is not ready"},
		"itself has drained":  {n: 3, change: set(1, gate("drained"))},
		"another is far behind": {n: 3, change: set(3, func(m *admin.Member) { m.Lag = 1e6 }),
			want: "n3 is 1000000 entries behind"},
		"another program": {n: 3, change: set(3,
			func(m *admin.Member) { m.Tags = map[string]string{"app": "x"} })},
		"others are no voters": {n: 3, change: func(i int,
			m *admin.Member) {
			m.Vote = map[bool]string{true: "voter", false: "nonvoter"}[i == 1]
		}, want: "0 of 1 voters"},
		"it is no voter": {n: 3, change: set(1, func(m *admin.Member) { m.Vote = admin.Nonvoter })},
		"the only front": {n: 4, change: set(1, func(m *admin.Member) {
			m.Role, m.Vote = "front",
				admin.Nonvoter
		}), want: "no other node serves"},
		"a staging node": {n: 4, change: set(1, func(m *admin.Member) {
			m.Role, m.Vote = "staging",
				admin.Nonvoter
		})},
		"in memory, one is dead": {n: 3, memory: true, change: set(2,
			func(m *admin.Member) { m.Status = admin.Dead }), want: "1 of 2 voters"},
	} {
		f := farmOf(c.n, !c.memory, c.change)
		err := Spares(f, f.Members[0], c.floor)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && !errors.Is(err, admin.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := farmOf(3, true, nil)
	f.Quorum = false
	if err := Spares(f, f.Members[0], 0); !errors.Is(err, admin.ErrNoQuorum) {
		t.Errorf("no quorum: %v", err)
	}
}

// Of whom it is not known whether he serves, unless nobody asks him for anything.
func TestUnheard(t *testing.T) {
	for name, c := range map[string]struct {
		how  func(*admin.Member)
		want bool
	}{
		"all serve":      {func(*admin.Member) {}, false},
		"not heard":      {func(m *admin.Member) { m.Tags = nil }, true},
		"draining":       {func(m *admin.Member) { m.Tags = map[string]string{"gate": "draining"} }, false},
		"dead":           {func(m *admin.Member) { m.Status, m.Tags = admin.Dead, nil }, false},
		"about to leave": {func(m *admin.Member) { m.Leaving, m.Tags = true, nil }, false},
		"staging":        {func(m *admin.Member) { m.Role, m.Tags = "staging", nil }, false},
	} {
		f := farmOf(3, true, func(i int, m *admin.Member) {
			if i == 2 {
				c.how(m)
			}
		})
		if got := Unheard(f); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// When a member counts as back, and what is missing before.
func TestBack(t *testing.T) {
	before := farmOf(3, true, nil)
	m := before.Members[1]
	_, voters := before.Voters()
	for name, c := range map[string]struct {
		how  func(*admin.Member)
		want string
	}{
		"as before": {func(m *admin.Member) { m.Started = startedAt }, "has not come back"},
		"still stopping": {func(m *admin.Member) { m.Started, m.Leaving = startedAt, true },
			"has not come back"},
		"new, not ready": {func(m *admin.Member) { m.Tags = nil }, "n2 is not ready"},
		"new, dead":      {func(m *admin.Member) { m.Status = admin.Dead }, "n2 is dead"},
		"far behind":     {func(m *admin.Member) { m.Lag = 1e6 }, "1000000 entries behind"},
		"without a vote": {func(m *admin.Member) { m.Vote = admin.Nonvoter }, "2 voters are alive of the 3"},
		"no member":      {func(m *admin.Member) { m.Vote = "" }, "no member yet"},
		"another NodeID": {func(m *admin.Member) { m.ID = "new" }, ""},
		"whole":          {func(*admin.Member) {}, ""},
	} {
		f := farmOf(3, true, func(i int, m *admin.Member) {
			if i == 2 {
				m.Started = startedAt.Add(time.Minute)
				c.how(m)
			}
		})
		if got := Back(f, m, voters); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		f.Quorum = false
		if Back(f, m, voters) == "" {
			t.Errorf("%s: back without a quorum", name)
		}
	}
	gone := farmOf(1, true, nil)
	if got := Back(gone, m, 1); got != "it has not come back" {
		t.Errorf("gone: %q", got)
	}
}
