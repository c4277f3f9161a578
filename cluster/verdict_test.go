package cluster

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// What a survey allows, as a table: voters a, b, c, ...; small letters are non-voters in the reports.
func TestVerdict(t *testing.T) {
	rep := func(server string, term, last uint64, voters, nonvoters string) *report {
		return &report{server: server, term: term, last: last, ordinary: true, down: true, voters: strings.Fields(voters),
			nonvoters: strings.Fields(nonvoters)}
	}
	running := func(r *report) *report {
		r.down = false
		return r
	}
	front := func(r *report) *report {
		r.ordinary = false
		return r
	}
	for _, c := range []struct {
		name    string
		reports []*report
		gone    string
		err     error
		heir    string
	}{
		{"nobody has anything", nil, "a b", wire.ErrNotReformed, ""},
		{"a quorum may be left", []*report{running(rep("c", 1, 5, "a b c", ""))}, "a", wire.ErrHasQuorum, ""},
		{"who has stood down makes no quorum", []*report{rep("c", 1, 5, "a b c", "")}, "a", wire.ErrNotReformed, ""},
		{"two who have stood down and one who runs", []*report{rep("c", 1, 5, "a b c d e", ""), rep("b", 1, 5, "a b c d e", ""),
			running(rep("a", 1, 5, "a b c d e", ""))}, "d e", nil, "b"},
		{"one of three", []*report{rep("c", 1, 5, "a b c", "")}, "a b", nil, "c"},
		{"one of two", []*report{rep("b", 1, 5, "a b", "")}, "a", nil, "b"},
		{"another voter is silent", []*report{rep("c", 1, 5, "a b c d", "")}, "a b", wire.ErrNotReformed, ""},
		{"the later term wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 1, 9, "a b c d e", "")}, "a b c", nil, "d"},
		{"the longer log wins", []*report{rep("d", 2, 5, "a b c d e", ""), rep("e", 2, 9, "a b c d e", "")}, "a b c", nil, "e"},
		{"a non-voter has more", []*report{rep("c", 1, 5, "a b c", "d"), rep("d", 1, 6, "a b c", "d")}, "a b", nil, "d"},
		{"a newer configuration has more voters", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("d", 1, 6, "a b c d e", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"the lost ones vote again, as what they are now", []*report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("A", 1, 9, "c A B", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"one without a vote has more", []*report{rep("c", 1, 5, "a b c", "f"), front(rep("f", 1, 6, "a b c", "f"))}, "a b", nil, "f"},
		{"one without a vote has as much", []*report{rep("c", 1, 5, "a b c", "a.f"), front(rep("a.f", 1, 5, "a b c", "a.f"))}, "a b",
			nil, "c"},
		{"only non-voters are left", []*report{rep("d", 1, 5, "a b c", "d")}, "a b c", nil, "d"},
		{"a non-voter is missing where no voter is left", []*report{rep("d", 1, 5, "a b c", "d e")}, "a b c", wire.ErrNotReformed, ""},
	} {
		s := newSurvey()
		for _, r := range c.reports {
			s.reports[r.server] = r
		}
		for _, id := range strings.Fields(c.gone) {
			s.gone[id] = true
		}
		err := s.verdict()
		if !errors.Is(err, c.err) || err == nil && s.heir() != c.heir {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, err, s.heir(), c.err, c.heir)
		}
	}
}

func FuzzReport(f *testing.F) {
	r := report{server: "n.1", term: 2, last: 3, ordinary: true, down: true, successor: "m.1", voters: []string{"n.1", "m.1"}}
	f.Add(r.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReport(b)
		if err != nil {
			return
		}
		if again, err := parseReport(r.append(nil)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v comes back as %+v, %v", r, again, err)
		}
	})
}
