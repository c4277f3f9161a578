package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// expectation is what "expect NAME ARGS: WHO" checks; the error says why it is not so.
type expectation func(s *script, args string, who []*actor) error

var expectations = map[string]expectation{
	"leader":          expectLeader,
	"no leader":       not(expectLeader, "there is a leader"),
	"election":        not(expectNoElection, "there was no election"),
	"no election":     expectNoElection,
	"voters":          expectVoters,
	"voters by size":  expectVotersBySize,
	"vote":            each(func(s *script, _ string, a *actor) error { return s.expectVote(a, Voter) }),
	"no vote":         each(func(s *script, _ string, a *actor) error { return s.expectVote(a, Nonvoter) }),
	"no seat":         each(func(s *script, _ string, a *actor) error { return s.expectVote(a, "") }),
	"members":         expectMembers,
	"ready":           each(expectReady),
	"unready":         not(each(expectReady), "it is ready"),
	"founded":         expectFounded,
	"farms":           expectFarms,
	"no mixture":      expectNoMixture,
	"farm":            each(expectFarm),
	"another farm":    not(each(expectFarm), "it is in the farm there was at first"),
	"epoch":           each(expectEpoch),
	"level":           each(expectLevel),
	"incarnation":     each(expectIncarnation),
	"new incarnation": not(each(expectIncarnation), "it is the same incarnation"),
	"new instance":    each(expectNewInstance),
	"failed":          each(expectFailed),
	"healthy":         each(func(_ *script, _ string, a *actor) error { return a.Err() }),
	"log":             each(expectLog),
	"no log":          not(each(expectLog), "it is in the log"),
	"notes":           each(expectNotes),
	"behind":          each(expectBehind),
	"current":         each(expectCurrent),
	"discarded":       each(expectDiscarded),
	"farmctl shows":   each(expectFarmctlShows),
	"farmctl says":    each(expectFarmctlSays),

	"snapshot coming":    each(expectSnapshotComing),
	"no snapshot coming": not(each(expectSnapshotComing), "it waits for a snapshot"),
}

// withArguments are the expectations that say more than their name; notes may be none.
var withArguments = []string{"voters", "voters by size", "members", "farms", "epoch", "level", "failed",
	"log", "no log", "behind",
	"current", "discarded", "farmctl shows", "farmctl says"}

// doExpect checks that something is so now, is so within a time, or stays so for one.
func (s *script) doExpect(rest string) {
	left, right, _ := strings.Cut(rest, ": ")
	left, word, d := s.patience(left)
	name, args := left, ""
	for expectations[name] == nil {
		i := strings.LastIndex(name, " ")
		if i < 0 {
			s.fatalf("there is nothing like %q to expect", left)
		}
		name = name[:i]
		args = left[len(name):]
	}
	var who []*actor
	if right != "" {
		who = s.who(right)
	}
	args = strings.TrimSpace(args)
	if (args != "") != slices.Contains(withArguments, name) && name != "notes" {
		s.fatalf("%q does not go with %q", name, args)
	}
	end := time.Now().Add(d)
	for {
		err := expectations[name](s, args, who)
		switch over := !time.Now().Before(end); {
		case err != nil && (word != "within" || over):
			s.fatalf("%v", err)
		case err == nil && (word != "for" || over):
			return
		}
		pause()
	}
}

// each makes an expectation about all who are named from an expectation about one of them.
func each(f func(s *script, args string, a *actor) error) expectation {
	return func(s *script, args string, who []*actor) error {
		for _, a := range who {
			if err := f(s, args, a); err != nil {
				return fmt.Errorf("%s: %w", a.conf.Name, err)
			}
		}
		if len(who) == 0 {
			return errors.New("nobody is named")
		}
		return nil
	}
}

// not turns an expectation round, for each of those named.
func not(f expectation, why string) expectation {
	return func(s *script, args string, who []*actor) error {
		if len(who) == 0 {
			who = []*actor{nil}
		}
		for _, a := range who {
			var err error
			if a == nil {
				err = f(s, args, nil)
			} else {
				err = f(s, args, []*actor{a})
			}
			if err == nil {
				return errors.New(why)
			}
		}
		return nil
	}
}

func expectLeader(s *script, _ string, who []*actor) error {
	leader := s.leads()
	if leader == nil || who != nil && !slices.Contains(who, leader) {
		return errors.New("nobody leads")
	}
	return nil
}

func expectNoElection(s *script, _ string, _ []*actor) error {
	for _, a := range s.live() {
		if t := a.State().Term; t != s.term {
			return fmt.Errorf("%s is in term %d, before it was %d", a.conf.Name, t, s.term)
		}
	}
	return nil
}

func expectVoters(s *script, args string, _ []*actor) error {
	leader := s.leads()
	if leader == nil {
		return errors.New("nobody leads")
	}
	if voters := leader.instance().voters(); len(voters) != s.number(args) {
		return fmt.Errorf("the voters are %v", voters)
	}
	return nil
}

// expectVotersBySize looks up how many voters there should be in a list, by the number of machines.
func expectVotersBySize(s *script, args string, who []*actor) error {
	list := strings.Fields(args)
	if len(list) < s.machines {
		s.fatalf("nothing is said about %d machines", s.machines)
	}
	return expectVoters(s, list[s.machines-1], who)
}

// expectVote compares the vote of a node's present incarnation, or of its last one if it does not run, with
// want.
func (s *script) expectVote(a *actor, want Vote) error {
	leader := s.leads()
	if leader == nil {
		return errors.New("nobody leads")
	}
	server, vote := a.server, Vote("")
	if a.up {
		server = a.instance().server
	}
	for _, srv := range leader.instance().configuration().Servers {
		if string(srv.ID) == server {
			vote = voteOf(srv.Suffrage)
		}
	}
	if vote != want {
		return fmt.Errorf("its place is %q, want %q", vote, want)
	}
	return nil
}

// expectMembers checks how many live members everyone sees.
func expectMembers(s *script, args string, _ []*actor) error {
	for _, a := range s.live() {
		alive := 0
		for _, m := range a.State().Members {
			if m.Status == roster.Alive {
				alive++
			}
		}
		if alive != s.number(args) {
			return fmt.Errorf("%s sees %+v", a.conf.Name, a.State().Members)
		}
	}
	return nil
}

func expectReady(_ *script, _ string, a *actor) error {
	if !a.up || !a.State().Ready {
		return fmt.Errorf("not ready; it sees %+v", a.State())
	}
	return nil
}

// expectFarms checks how many farms the live nodes are in; with 1, all of them are.
func expectFarms(s *script, args string, _ []*actor) error {
	ids := map[string]bool{}
	for _, a := range s.live() {
		ids[a.State().ClusterID] = true
	}
	if s.number(args) == 0 {
		delete(ids, "")
	}
	if len(ids) != s.number(args) || len(ids) > 0 && ids[""] {
		return fmt.Errorf("the cluster IDs are %v", ids)
	}
	return nil
}

func expectFounded(s *script, _ string, _ []*actor) error {
	if len(s.farms) == 0 && expectFarms(s, "0", nil) == nil {
		return errors.New("there is no farm")
	}
	return nil
}

// expectNoMixture checks that each node sees and is configured with the nodes of its own farm, all of them
// and no others, and holds what they hold.
func expectNoMixture(s *script, _ string, _ []*actor) error {
	farms := map[string][]*actor{}
	for _, a := range s.live() {
		id := a.State().ClusterID
		farms[id] = append(farms[id], a)
	}
	for _, farm := range farms {
		var nodes []string
		for _, a := range farm {
			nodes = append(nodes, a.ID())
		}
		for _, a := range farm {
			st := a.State()
			foreign := slices.ContainsFunc(st.Members,
				func(m Member) bool { return !slices.Contains(nodes, m.ID) })
			if foreign || len(st.Members) != len(farm) ||
				len(a.instance().configuration().Servers) != len(farm) {
				return fmt.Errorf("%s, in a farm of %d, sees %+v", a.conf.Name, len(farm), st.Members)
			}
			if other := farm[0]; a.get("notes") != other.get("notes") {
				return fmt.Errorf("%s has %q, %s has %q", a.conf.Name, a.get("notes"), other.conf.Name,
					other.get("notes"))
			}
		}
	}
	return nil
}

// expectFarm checks that a node is in the farm that was there first.
func expectFarm(s *script, _ string, a *actor) error {
	if id := a.State().ClusterID; id != s.farm || id == "" {
		return fmt.Errorf("it is in farm %q, the first one was %q", id, s.farm)
	}
	return nil
}

// expectEpoch checks that a node is ready in the farm that was there first, as it is after so many
// re-formings.
func expectEpoch(s *script, args string, a *actor) error {
	st := a.State()
	if lineage, epoch := epochOf(st.ClusterID); lineage != s.lineage() || epoch != uint64(s.number(args)) {
		return fmt.Errorf("it is in farm %q, the first one was %q", st.ClusterID, s.farm)
	}
	return nil
}

func expectLevel(s *script, args string, a *actor) error {
	if level := a.State().Level; level != s.number(args) {
		return fmt.Errorf("it works at level %d", level)
	}
	return nil
}

func expectIncarnation(_ *script, _ string, a *actor) error {
	if now := a.instance().server; now != a.server {
		return fmt.Errorf("it is %s, was %s", now, a.server)
	}
	return nil
}

func expectNewInstance(_ *script, _ string, a *actor) error {
	if a.instance() == a.in {
		return errors.New("it has the same Raft instance")
	}
	return nil
}

// failures are what a node may fail with.
var failures = map[string]error{"name taken": ErrNameTaken, "other kind": ErrOtherKind, "stalled": ErrStalled,
	"disk":    ErrDisk,
	"version": ErrVersion, "diverged": ErrDiverged}

func expectFailed(s *script, args string, a *actor) error {
	want := failures[args]
	if want == nil {
		s.fatalf("there is no failure %q", args)
	}
	if !errors.Is(a.Err(), want) {
		return fmt.Errorf("its error is %v", a.Err())
	}
	return nil
}

// expectLog looks for words in what the node logged; "the farm of WHO" stands for a cluster ID.
func expectLog(s *script, args string, a *actor) error {
	words := strings.Trim(args, `"`)
	if phrase, ok := strings.CutPrefix(words, "the farm of "); ok {
		words = s.one(phrase).State().ClusterID
	}
	if text := a.logs.String(); !strings.Contains(text, words) {
		return fmt.Errorf("it did not log %q:\n%s", words, text)
	}
	return nil
}

func expectNotes(_ *script, args string, a *actor) error {
	want := strings.ReplaceAll(args, " ", ",")
	if got := strings.TrimSuffix(a.get("notes"), ","); got != want {
		return fmt.Errorf("its notes are %q", got)
	}
	return nil
}

func expectBehind(s *script, args string, a *actor) error {
	if got := a.Handle("kv").Staleness(); got < s.duration(args) {
		return fmt.Errorf("it believes to be %v behind", got)
	}
	return nil
}

func expectCurrent(s *script, args string, a *actor) error {
	if got := a.Handle("kv").Staleness(); got > s.duration(args) {
		return fmt.Errorf("it believes to be %v behind", got)
	}
	return nil
}

func expectSnapshotComing(_ *script, _ string, a *actor) error {
	if a.instance().transport.inbound.Load() == 0 {
		return errors.New("no snapshot is on its way to it")
	}
	return nil
}

// expectDiscarded counts the logs that a node moved aside; in memory there is nothing to move.
func expectDiscarded(s *script, args string, a *actor) error {
	if !s.durable {
		return nil
	}
	if found, _ := filepath.Glob(filepath.Join(a.conf.Dir, "discarded-*",
		logDir)); len(found) != s.number(args) {
		return fmt.Errorf("moved aside are %v", found)
	}
	return nil
}
