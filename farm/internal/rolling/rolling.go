// Package rolling has the rules by which the nodes of a farm are restarted one after the other, for whoever does it:
// farmctl from outside, or the node that leads.
package rolling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// mostLag is how many entries of the log a member may be behind and count as caught up: a busy farm writes
// while it is asked.
const mostLag = 10_000

const roleStaging = "staging"

// Order returns the members that run, in the order in which they are restarted: the leader last, so
// that it changes once.
func Order(f admin.Farm) (out []admin.Member) {
	for _, m := range f.Members {
		if m.Status == admin.Alive {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b admin.Member) int {
		switch {
		case a.Leader == b.Leader:
			return 0
		case a.Leader:
			return 1
		}
		return -1
	})
	return out
}

// Spares says in a sentence why the farm cannot do without m for a while, nil if it can. floor is how many
// others like m have to serve meanwhile; 0 = all that there are, and one at least.
func Spares(f admin.Farm, m admin.Member, floor int) error {
	if !f.Quorum {
		return fmt.Errorf("no majority of the voters answers just now: %w", admin.ErrNoQuorum)
	}
	if err := sparesVote(f, m); err != nil {
		return err
	}
	if m.Role == roleStaging {
		return nil // nobody asks it for anything
	}
	serving, alike := 0, 0
	var first string // why another one does not serve
	for _, o := range alikeOf(f, m) {
		alike++
		if why := idle(o); why == "" {
			serving++
		} else if first == "" {
			first = why
		}
	}
	switch {
	case serving == 0:
		return fmt.Errorf("%w: no other node serves what %s does", admin.ErrRefused, nodeName(m))
	case floor == 0 && serving < alike:
		return fmt.Errorf("%w: %s; say -floor %d to go on with fewer", admin.ErrRefused, first, serving)
	case serving < floor:
		return fmt.Errorf("%w: without %s, %d would serve, and it has to be %d at least: %s", admin.ErrRefused, nodeName(m),
			serving, floor, cmp.Or(first, "there are no more"))
	}
	return nil
}

// Unheard reports whether the one that was asked has not heard of a member that runs whether it serves. Gossip brings
// that in a moment: who asks a node that has just started asks again before it takes that for a no.
func Unheard(f admin.Farm) bool {
	return slices.ContainsFunc(f.Members, func(m admin.Member) bool {
		return m.Status == admin.Alive && !m.Leaving && m.Role != roleStaging && m.Tags[order.Gate] == ""
	})
}

// alikeOf returns the other members that serve the same as m.
func alikeOf(f admin.Farm, m admin.Member) (out []admin.Member) {
	for _, o := range f.Members {
		if o.ID != m.ID && o.Role == m.Role && o.Tags["app"] == m.Tags["app"] {
			out = append(out, o)
		}
	}
	return out
}

// Floor returns how many others like m have to serve while m does not, if those of these names that are not there
// need not; 0 = all.
func Floor(f admin.Farm, m admin.Member, but []string) (floor int) {
	for _, o := range alikeOf(f, m) {
		if o.Status == admin.Alive || !slices.Contains(but, o.Name) {
			floor++
		}
	}
	return floor
}

// Present says in a sentence which of the members of these names does not run, nil if all do.
func Present(f admin.Farm, names []string) error {
	for _, name := range names {
		if m, ok := f.Find(name); !ok || m.Status != admin.Alive {
			return fmt.Errorf("%w: %s is not there", admin.ErrRefused, printable(name))
		}
	}
	return nil
}

// Serves says in a sentence why a member does not serve, nil if it does. Nobody asks a staging node for anything.
func Serves(m admin.Member) error {
	if why := idle(m); why != "" && m.Role != roleStaging {
		return fmt.Errorf("%w: %s", admin.ErrRefused, why)
	}
	return nil
}

// idle says why a member does not serve, "" if it does.
func idle(m admin.Member) string {
	switch gate := m.Tags[order.Gate]; {
	case m.Status != admin.Alive:
		return nodeName(m) + " is " + m.Status
	case m.Leaving:
		return nodeName(m) + " stops"
	case gate == "":
		return nodeName(m) + " is not ready"
	case gate != order.Ready:
		return nodeName(m) + " is " + printable(gate)
	}
	return ""
}

// sparesVote says why the farm would have no quorum without m, nil if it had one. A stop takes the vote of
// a node without a data directory, and of one of two voters.
func sparesVote(f admin.Farm, m admin.Member) error {
	voters, alive := 0, 0
	for _, o := range f.Members {
		if o.Vote != admin.Voter {
			continue
		}
		voters++
		if o.ID == m.ID || o.Status != admin.Alive || o.Leaving {
			continue
		}
		alive++
		if o.Lag > mostLag {
			return fmt.Errorf("%w: %s is %d entries behind; wait until it has caught up", admin.ErrRefused,
				nodeName(o), o.Lag)
		}
	}
	if m.Vote == admin.Voter && (!f.Durable || voters == 2) {
		voters--
	}
	if alive < voters/2+1 {
		return fmt.Errorf("%w: without %s, %d of %d voters would be left, and it takes %d to write anything; bring others "+
			"back first", admin.ErrRefused, nodeName(m), alive, voters, voters/2+1)
	}
	return nil
}

// NotBack is what Back says of a member whose new process has not been heard of.
const NotBack = "it has not come back"

// Back says in a few words what is missing before m, as it was before its restart, counts as back in f; ""
// if nothing. voters is how many voters lived before.
func Back(f admin.Farm, m admin.Member, voters int) string {
	var now admin.Member
	for _, o := range f.Members { // one in memory comes back under another NodeID
		if (o.ID == m.ID || o.Name == m.Name) && (now.ID == "" || o.Started.After(now.Started)) {
			now = o
		}
	}
	_, alive := f.Voters()
	switch {
	case !now.Started.After(m.Started):
		return NotBack
	case now.Status != admin.Alive || now.Leaving:
		return idle(now)
	case now.Role != roleStaging && idle(now) != "":
		return idle(now)
	case now.Vote == "":
		return nodeName(m) + " is no member yet"
	case now.Lag > mostLag:
		return fmt.Sprintf("%s is %d entries behind", nodeName(m), now.Lag)
	case alive < voters:
		return fmt.Sprintf("%d voters are alive of the %d that were", alive, voters)
	case !f.Quorum:
		return "no majority answers"
	}
	return ""
}

func nodeName(m admin.Member) string {
	if m.Name == "" {
		return m.ID
	}
	return printable(m.Name)
}

// printable returns text of another program's without what moves a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
