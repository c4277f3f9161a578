package farm

import (
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// When a member that was asked to restart counts as back, also if its clock was set back, or if an operator has taken
// another member out meanwhile.
func TestAskedToRoll(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	due := dueRestart{7, order.RestartRolling}
	farmOf := func(change func(f *admin.Farm, m *admin.Member)) admin.Farm {
		f := admin.Farm{Quorum: true, Durable: true}
		for _, name := range []string{"n1", "n2", "n3"} {
			f.Members = append(f.Members, admin.Member{ID: "id" + name, Name: name, Status: admin.Alive,
				Role: "ordinary", Vote: admin.Voter, Started: start,
				Tags: map[string]string{order.Gate: order.Ready}})
		}
		m := &f.Members[1]
		m.Tags[tagRestart] = due.tag()
		change(&f, m)
		return f
	}
	again := func(m *admin.Member, started time.Time) {
		m.Started = started
		delete(m.Tags, tagRestart)
	}
	before := farmOf(func(*admin.Farm, *admin.Member) {})
	a := askedToRoll{member: before.Members[1], due: due, voters: 3}
	for name, c := range map[string]struct {
		change func(f *admin.Farm, m *admin.Member)
		want   string // of what is missing; "" = nothing
	}{
		"it has not stopped yet": {func(*admin.Farm, *admin.Member) {}, "not come back"},
		"it drains": {func(_ *admin.Farm, m *admin.Member) { m.Tags[order.Gate] = order.Draining },
			"not come back"},
		"it drains, and is due no more": {func(_ *admin.Farm, m *admin.Member) {
			again(m, start)
			m.Tags[order.Gate] = order.Draining
		}, "draining"},
		"it is away": {func(_ *admin.Farm, m *admin.Member) { m.Status = admin.Dead }, "not come back"},
		"it is back": {func(_ *admin.Farm, m *admin.Member) { again(m, start.Add(time.Minute)) }, ""},
		"it is back, and its clock was set back": {func(_ *admin.Farm, m *admin.Member) {
			again(m, start.Add(-time.Hour))
		}, ""},
		"it is back, and due for a newer change": {func(_ *admin.Farm, m *admin.Member) {
			again(m, start.Add(-time.Hour))
			m.Tags[tagRestart] = dueRestart{8, order.RestartRolling}.tag()
		}, ""},
		"another one has died": {func(f *admin.Farm, m *admin.Member) {
			again(m, start.Add(time.Minute))
			f.Members[2].Status = admin.Dead
		}, "2 voters are alive of the 3"},
		"another one was taken out": {func(f *admin.Farm, m *admin.Member) {
			again(m, start.Add(time.Minute))
			f.Members = f.Members[:2]
		}, ""},
		"it was taken out": {func(f *admin.Farm, _ *admin.Member) {
			f.Members = append(f.Members[:1:1], f.Members[2])
		}, ""},
		"in memory, it has not come back": {func(f *admin.Farm, _ *admin.Member) {
			f.Durable, f.Members = false, append(f.Members[:1:1], f.Members[2])
		}, "not come back"},
		"in memory, another one has gone": {func(f *admin.Farm, m *admin.Member) {
			again(m, start.Add(time.Minute))
			f.Durable, f.Members = false, f.Members[:2]
		}, "2 voters are alive of the 3"},
	} {
		got := a.missing(farmOf(c.change))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: missing %q, want %q", name, got, c.want)
		}
	}
}
