package cluster

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// What a node says while it waits. A line says whom or what it waits for, and why that does not come. It is
// said when it changes, ten seconds after the last line at the earliest, and again every minute for as long
// as it lasts. A node that waits for nothing says nothing.

const waitingAgain = time.Minute

// complaint is one thing that may be said again and again. The zero complaint has not been said.
type complaint struct {
	text string
	at   time.Time
}

// sayNow reports whether text is to be said now, and notes that it is: it is news, or old enough to be said
// again.
func (c *complaint) sayNow(text string, now time.Time) bool {
	again := sayPause
	if text == c.text {
		again = waitingAgain
	}
	if !c.at.IsZero() && now.Sub(c.at) < again {
		return false
	}
	c.text, c.at = text, now
	return true
}

// reportNames warns of each name in Join that stands for nothing, once until it stands for something.
func (j *joining) reportNames() {
	news, blind := j.seeds.takeUnsaid()
	for _, entry := range news {
		j.log.Warn("a name in Join does not resolve; this node goes on without it and looks it up again and "+
			"again",
			"join", entry, keyError, blind[entry])
	}
}

// unanswered says of each entry of Join at which nobody of this farm is known to be alive what is the matter
// with it.
func (j *joining) unanswered() string { return strings.Join(j.silent(), ", ") }

func (j *joining) silent() (out []string) {
	here := map[string]bool{}
	for _, s := range j.members.all() {
		if s.Status == roster.Alive {
			here[s.Addr] = true
		}
	}
	found, blind := j.seeds.lookedUp()
	for _, entry := range sortedKeys(found) {
		if err := blind[entry]; err != nil {
			out = append(out, fmt.Sprintf("%s: %s", entry, briefly(err)))
			continue
		}
		if !slices.ContainsFunc(found[entry],
			func(addr string) bool { return here[addr] || j.ownAddr(addr) }) {
			out = append(out, fmt.Sprintf("%s: %s", entry, j.whySilent(found[entry])))
		}
	}
	return out
}

// neverFounding names each entry of Join at which a node is that answers, and founds no farm because of its
// role. Without Expect, whoever counts the list waits for it.
func (j *joining) neverFounding() (out []string) {
	at := map[string]*roster.Sighting{}
	for _, s := range j.members.others() {
		if Role(s.Role) != Ordinary {
			at[s.Addr] = s
		}
	}
	found, _ := j.seeds.lookedUp()
	for _, entry := range sortedKeys(found) {
		for _, addr := range found[entry] {
			if s := at[addr]; s != nil {
				out = append(out, fmt.Sprintf("%s: %s has the role %s and founds no farm, so set Expect to the "+
					"number of nodes that have none", entry, s.Name, s.Role))
			}
		}
	}
	return out
}

// whySilent says why nobody answers at the addresses.
func (j *joining) whySilent(addrs []string) string {
	var why []string
	for _, addr := range addrs {
		if err := j.contacts.refusal(addr); err != nil && !slices.Contains(why, briefly(err)) {
			why = append(why, briefly(err))
		}
	}
	if why == nil {
		return "no answer yet"
	}
	return strings.Join(why, "; ")
}

// briefly returns what an error of the network says, without the addresses around it.
func briefly(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

// sayCannotFound says that this node waits for a farm, if it knows of nobody who could have one.
func (f *forming) sayCannotFound() {
	f.joining.seeds.addrs(f.ctx) // looks them up: its own address is nobody else's
	if !f.joining.knowsOthers() {
		f.log.Warn("a node that never votes cannot found a farm: give it Join addresses, or name it in "+
			"those of the others", "role", f.cfg.Role)
	}
}

// sayNotFounded says that the farm is not founded, and who is missing.
func (f *forming) sayNotFounded(said *complaint, expect, here int) {
	missing := strings.Join(append(f.joining.silent(), f.joining.neverFounding()...), ", ")
	if said.sayNow(missing, time.Now()) {
		f.log.Warn("the farm is not founded yet: not all the nodes that found it are here",
			"expected", expect, "here", here, "missing", missing)
	}
}

// sayCaughtUp says that this node is a member like the others from now on, and who else is there.
func (rd *readiness) sayCaughtUp(began time.Time) {
	in := rd.instance()
	leader, _ := in.leader.get()
	alive := 0
	for _, s := range rd.members.all() {
		if s.Node == rd.id || s.Status == roster.Alive {
			alive++
		}
	}
	rd.log.Info("caught up", "after", time.Since(began).Round(time.Millisecond), "votes",
		slices.Contains(in.voters(), in.server),
		keyLeader, rd.members.nameOf(leader), "members", alive)
}

// unreadyAfter is how long a node that belongs to a farm waits in silence.
const unreadyAfter = 5 * time.Second

// sayUnready says what a node that belongs to a farm still waits for.
func (rd *readiness) sayUnready(said *complaint, since time.Time, now stage) {
	if time.Since(since) < unreadyAfter || rd.self().cluster == "" {
		return // what it waits for before that, join and form say
	}
	why, args := rd.whyUnready(now)
	if said.sayNow(why, time.Now()) {
		rd.log.Warn("this node is not ready yet: "+why, args...)
	}
}

// waitsFor says for whom or what this node waits, in words for whoever has given up waiting for it.
func (rd *readiness) waitsFor() string {
	if rd.self().cluster == "" {
		if silent := rd.joining.unanswered(); silent != "" {
			return "it belongs to no farm yet (" + silent + ")"
		}
		return "it belongs to no farm yet"
	}
	now := rd.way.Load()
	if now == nil {
		now = &stage{}
	}
	why, args := rd.whyUnready(*now)
	var facts []string
	for i := 0; i+1 < len(args); i += 2 {
		facts = append(facts, fmt.Sprint(args[i], " ", args[i+1]))
	}
	return why + " (" + strings.Join(facts, ", ") + ")"
}

// whyUnready says what keeps a node that belongs to a farm from being ready, with facts for a line in the
// log.
func (rd *readiness) whyUnready(now stage) (why string, args []any) {
	in := rd.instance()
	leader, _ := in.leader.get()
	switch f := in.fsm; {
	case rd.fit.err() != nil:
		return "what it holds does not count, and no leader says that the farm does without it",
			[]any{keyError, rd.fit.err()}
	case leader == "" && len(in.voters()) > 0:
		return "the farm has no leader; it takes a majority of the voters",
			[]any{"voters", len(in.voters()), "missing", rd.members.absent(in)}
	case leader == "":
		return "no member of its farm has called it yet", []any{"missing", rd.joining.unanswered()}
	case !now.configured:
		return "the leader has not taken it in yet", []any{keyLeader, rd.members.nameOf(leader)}
	case !f.Usable():
		return "too few of the founders vote so far",
			[]any{"founders", f.Founders(), "voters", len(in.voters()), "missing", rd.joining.unanswered()}
	case now.caughtUp && !now.placed:
		return "it waits for its vote", []any{keyLeader, rd.members.nameOf(leader)}
	}
	applied, _ := in.fsm.View()
	return "it catches up with the log",
		[]any{keyLeader, rd.members.nameOf(leader), "applied", applied, "known", rd.directory.Reached(leader)}
}
