// Package parity holds the tests that a forwarded request is served as if it had not been: raw bytes of
// clients go to a node that serves by itself and to nodes that forward, and what the client receives and what
// the handler sees must be the same.
//
// Slow: hundreds of connections over real sockets, four times each.
package parity

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// script is what a client does on one connection of HTTP/1, and which handler it meets there.
type script struct {
	name string
	do   handler // nil = echo
	on   string  // which server: "" = plain, or "tls", "hasty"

	// send are the client's steps in turn: bytes, or one of the steps in angle brackets (see client.step).
	send []string

	// want are the statuses that the client gets from a node that serves by itself, with spaces between them. ""
	// = none.
	want string

	// sees is part of what is noted or received where a node serves by itself: it shows that the case is what
	// its name says.
	sees string

	heads     []bool // which final answers are to a HEAD; nil = as the first request is
	anyLength bool   // how much arrives of a body that is cut off is a matter of buffers
	cutShort  bool   // the client goes before the end, so that what it receives says nothing
}

// outcome is what came of a script.
type outcome struct{ received, noted string }

func (o outcome) String() string { return "client:\n" + o.received + "handler:\n" + o.noted }

func TestParity(t *testing.T) {
	all := slices.Concat(targets, heads, bodies, answering, streams, connections, tunnels)
	runAll(t, all, knownDifferences)
}

func (s script) title() string { return s.name }

// comparison is a case of either protocol.
type comparison interface {
	title() string
	compare(t *testing.T, app *book, all []way)
}

// runAll compares all ways by each of the cases. known are those in which there is a difference.
func runAll[T comparison](t *testing.T, cases []T, known map[string]string) {
	app := &book{pages: make(map[string]*notes)}
	all := ways(t, app)
	names := make(map[string]bool)
	for _, c := range cases {
		if names[c.title()] {
			t.Errorf("two cases are named %q", c.title())
		}
		names[c.title()] = true
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			c.compare(t, app, all)
		})
	}
	checkNames(t, names, known)
}

// compare runs the script on each of the ways.
func (s script) compare(t *testing.T, app *book, all []way) {
	var differences []string
	for _, w := range all {
		if w.name == "draining" && strings.Contains(strings.ToLower(s.send[0]), "upgrade: websocket") {
			continue // it tells WebSockets to go away
		}
		direct, statuses := s.run(t, app, w.direct)
		if got := strings.Join(statuses, " "); got != s.want && !s.cutShort && w.name == "front" {
			t.Errorf("a node that serves by itself answers %q, want %q\n%v", got, s.want, direct)
		}
		if !strings.Contains(direct.String(), s.sees) {
			t.Errorf("%q does not appear where a node serves by itself:\n%v", s.sees, direct)
		}
		hops, _ := s.run(t, app, w.hops)
		if d := difference(direct.String(), hops.String()); d != "" {
			differences = append(differences, fmt.Sprintf("by the %s node:\n%s", w.name, d))
		}
	}
	report(t, s.name, differences, knownDifferences)
}

// difference lists the lines in which two texts differ.
func difference(direct, hops string) string {
	var d strings.Builder
	a, b := strings.Split(direct, "\n"), strings.Split(hops, "\n")
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && a[0] == b[0]:
			a, b = a[1:], b[1:]
		case len(b) == 0 || len(a) > 0 && !slices.Contains(b, a[0]):
			fmt.Fprintf(&d, "- %s\n", a[0])
			a = a[1:]
		default:
			fmt.Fprintf(&d, "+ %s\n", b[0])
			b = b[1:]
		}
	}
	return d.String()
}

// report fails for differences that are not known, and for known ones that there are no more.
func report(t *testing.T, name string, differences []string, known map[string]string) {
	t.Helper()
	why, listed := known[name]
	switch {
	case listed && len(differences) == 0:
		t.Errorf("no difference any more: take %q off the table of known ones (%s)", name, why)
	case !listed:
		for _, d := range differences {
			t.Error(d)
		}
	}
}

// checkNames fails for names in a table that no case has.
func checkNames(t *testing.T, names map[string]bool, known map[string]string) {
	t.Helper()
	for name := range known {
		if !names[name] {
			t.Errorf("the table of known differences has %q, which is no case", name)
		}
	}
}

func (s script) run(t *testing.T, app *book, to servers) (outcome, []string) {
	do := s.do
	if do == nil {
		do = echo
	}
	c := connect(t, app, to.of(s.on), s.on == "tls", do)
	defer c.end(app)
	for _, step := range s.send {
		c.step(step)
	}
	isHead := s.heads
	if isHead == nil {
		isHead = []bool{len(s.send) > 0 && strings.HasPrefix(s.send[0], "HEAD ")}
	}
	a := answersOf(c.all(), isHead, s.anyLength)
	if s.cutShort {
		a.text = ""
	}
	return outcome{a.text + c.trouble, c.notes.read(false)}, a.statuses
}
