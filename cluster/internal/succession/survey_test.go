package succession

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// What a survey allows, as a table: voters a, b, c, ...; small letters are non-voters in the reports.
func TestVerdict(t *testing.T) {
	rep := func(server string, term, last uint64, voters, nonvoters string) *Report {
		return &Report{Server: server, Term: term, Last: last, Ordinary: true, Down: true,
			Voters:    strings.Fields(voters),
			Nonvoters: strings.Fields(nonvoters)}
	}
	running := func(r *Report) *Report {
		r.Down = false
		return r
	}
	front := func(r *Report) *Report {
		r.Ordinary = false
		return r
	}
	for _, c := range []struct {
		name      string
		reports   []*Report
		gone      string
		err       error
		successor string
	}{
		{"nobody has anything", nil, "a b", wire.ErrNotReformed, ""},
		{"a quorum may be left", []*Report{running(rep("c", 1, 5, "a b c", ""))}, "a", wire.ErrHasQuorum, ""},
		{"who has stood down makes no quorum", []*Report{rep("c", 1, 5, "a b c", "")}, "a",
			wire.ErrNotReformed, ""},
		{"two who have stood down and one who runs",
			[]*Report{rep("c", 1, 5, "a b c d e", ""), rep("b", 1, 5, "a b c d e", ""),
				running(rep("a", 1, 5, "a b c d e", ""))}, "d e", nil, "b"},
		{"one of three", []*Report{rep("c", 1, 5, "a b c", "")}, "a b", nil, "c"},
		{"one of two", []*Report{rep("b", 1, 5, "a b", "")}, "a", nil, "b"},
		{"another voter is silent", []*Report{rep("c", 1, 5, "a b c d", "")}, "a b", wire.ErrNotReformed, ""},
		{"the later term wins", []*Report{rep("d", 2, 5, "a b c d e", ""), rep("e", 1, 9, "a b c d e", "")},
			"a b c", nil, "d"},
		{"the longer log wins", []*Report{rep("d", 2, 5, "a b c d e", ""), rep("e", 2, 9, "a b c d e", "")},
			"a b c", nil, "e"},
		{"a non-voter has more", []*Report{rep("c", 1, 5, "a b c", "d"), rep("d", 1, 6, "a b c", "d")}, "a b",
			nil, "d"},
		{"a newer configuration has more voters", []*Report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("d", 1, 6, "a b c d e", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"the lost ones vote again, as what they are now", []*Report{running(rep("c", 1, 5, "a b c", "")),
			running(rep("A", 1, 9, "c A B", ""))}, "a b", wire.ErrHasQuorum, ""},
		{"one without a vote has more",
			[]*Report{rep("c", 1, 5, "a b c", "f"), front(rep("f", 1, 6, "a b c", "f"))}, "a b", nil, "f"},
		{"one without a vote has as much",
			[]*Report{rep("c", 1, 5, "a b c", "a.f"), front(rep("a.f", 1, 5, "a b c", "a.f"))}, "a b",
			nil, "c"},
		{"only non-voters are left", []*Report{rep("d", 1, 5, "a b c", "d")}, "a b c", nil, "d"},
		{"a non-voter is missing where no voter is left", []*Report{rep("d", 1, 5, "a b c", "d e")}, "a b c",
			wire.ErrNotReformed, ""},
	} {
		s := New()
		for _, r := range c.reports {
			s.Reports[r.Server] = r
		}
		for _, id := range strings.Fields(c.gone) {
			s.Gone[id] = true
		}
		err := s.Verdict()
		if !errors.Is(err, c.err) || err == nil && s.Successor() != c.successor {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, err, s.Successor(), c.err, c.successor)
		}
	}
}

func FuzzReport(f *testing.F) {
	r := Report{Server: "n.1", Term: 2, Last: 3, Ordinary: true, Down: true, Successor: "m.1",
		Voters: []string{"n.1", "m.1"}}
	f.Add(r.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReport(b)
		if err != nil {
			return
		}
		if again, err := ReadReport(r.Append(nil)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v comes back as %+v, %v", r, again, err)
		}
	})
}
