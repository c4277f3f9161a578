package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/succession"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A farm whose quorum is gone for good can be re-formed from what is left of it (reform.go). A survey asks
// everybody who is configured, and everybody they know to be, what they hold; what follows from the answers,
// and the rules, are those of internal/succession. A re-forming that comes to nothing holds nobody up for
// good: see resumeIfAbandoned.

const standPatience = dialTimeout + drainPatience + 2*shutdownPatience // for another node to stand down

// surveys ask what the servers of a farm hold, and say what this one does. They remember nothing, and change
// nothing but that a node stands down when it is asked to.
type surveys struct {
	*base
	members    *members
	handshakes *handshakes
	// what is asked of this node itself
	answer func(context.Context, wire.Hello, wire.Method, []byte) ([]byte, error)
}

// look makes a survey of the farm that is called cluster; lost holds the servers that are gone by an
// operator's word. With down, everybody who answers stands down. Who has become a member of a later epoch by
// then, this node included, reports nothing.
func (sv *surveys) look(ctx context.Context, cluster string, lost map[string]bool,
	down bool) *succession.Survey {
	s := succession.New()
	asked := map[string]bool{}
	next := []string{sv.instance().server}
	for _, m := range sv.members.all() {
		// perhaps this node's configuration is too old to have it
		if m.Status == roster.Alive && m.Node != sv.id {
			next = append(next, m.Server())
		}
	}
	for len(next) > 0 {
		sv.lookAt(ctx, s, cluster, next, lost, down)
		for _, id := range next {
			asked[id] = true
		}
		next = slices.DeleteFunc(s.Servers(), func(id string) bool { return asked[id] })
	}
	return s
}

// lookAt asks several servers at once: those who are there take no time, those who are not take seconds.
func (sv *surveys) lookAt(ctx context.Context, s *succession.Survey, cluster string, servers []string,
	lost map[string]bool, down bool) {
	var mu sync.Mutex
	atOnce(servers, func(id string) {
		r, gone, err := sv.inquire(ctx, cluster, id, down)
		mu.Lock()
		defer mu.Unlock()
		// a node that is about to be taken in has nothing to report
		if r != nil && len(r.Voters)+len(r.Nonvoters) > 0 {
			s.Reports[r.Server] = r
		}
		s.Gone[id] = gone || lost[id] && (r == nil || r.Server != id)
		s.Led = s.Led || errors.Is(err, wire.ErrHasQuorum)
	})
}

// inquire asks a server for its report. The server may be gone, and its node may be a member again, as
// another server. That one may know of a farm that this node does not see, so then the report is that one's.
func (sv *surveys) inquire(ctx context.Context, cluster, server string, down bool) (r *succession.Report,
	gone bool, err error) {
	if r, err = sv.askReport(ctx, cluster, server, down); err == nil {
		return r, false, nil
	}
	gone, now := sv.gone(ctx, server)
	if !gone || now == "" {
		return nil, gone, err
	}
	r, err = sv.askReport(ctx, cluster, now, down)
	return r, err == nil || errors.Is(err, ErrOtherFarm), err // of no farm: it has just been started
}

func (sv *surveys) askReport(ctx context.Context, cluster, server string, down bool) (*succession.Report,
	error) {
	patience := dialTimeout
	if down {
		patience = standPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := sv.askServer(ctx, server, wire.MethodSurvey,
		append(wire.AppendString(nil, cluster), wire.BoolByte(down)))
	if err != nil {
		return nil, err
	}
	r, err := succession.ReadReport(out)
	if err == nil && r.Server != server {
		err = wire.ErrNotMe
	}
	return r, err
}

// askServer calls the node of a server, which may be this one.
func (sv *surveys) askServer(ctx context.Context, server string, m wire.Method, payload []byte) ([]byte,
	error) {
	if server == sv.instance().server {
		return sv.answer(ctx, wire.Hello{Source: server}, m, payload)
	}
	out, _, err := sv.peers.Call(ctx, wire.NodeOf(server), m, payload)
	return out, err
}

// answerSurvey reports what this node holds, and stands down if that is asked and it knows of no leader.
func (sv *surveys) answerSurvey(payload []byte) ([]byte, error) {
	r := wire.NewReader(payload)
	cluster, down := r.Text(), r.Byte() != 0
	if err := r.End(); err != nil {
		return nil, err
	}
	if cluster == "" || cluster != sv.self().cluster {
		return nil, ErrOtherFarm
	}
	if sv.fit.err() != nil {
		return nil, wire.ErrNotReformed // what it holds is not known
	}
	in := sv.instance()
	if down && len(in.configuration().Servers) > 0 {
		if leader, _ := in.leader.get(); leader != "" && !in.quiet.begun.Load() {
			return nil, wire.ErrHasQuorum
		}
		if err := in.standDown(); err != nil {
			return nil, err
		}
		sv.standing.StandDown()
	}
	out, err := sv.holdings(in)
	return out.Append(nil), err
}

// holdings says what this node has to offer.
func (sv *surveys) holdings(in *instance) (r succession.Report, err error) {
	r = succession.Report{Server: in.server, Ordinary: sv.cfg.Role == Ordinary}
	r.Term, r.Last, err = in.storage.lastEntry()
	for _, s := range in.configuration().Servers {
		if s.Suffrage == raft.Voter {
			r.Voters = append(r.Voters, string(s.ID))
		} else {
			r.Nonvoters = append(r.Nonvoters, string(s.ID))
		}
	}
	word := sv.standing.Word()
	r.Successor, r.Down = word.Successor, in.quiet.ended() && !word.Resuming
	return r, err
}

// gone reports whether there is proof that a memory server's process is gone, and its memory with it: it has
// said, after its Raft had ended, that it stops; or its node answers, at its own address, as another
// incarnation, which is returned. That gossip takes it for dead proves nothing.
func (sv *surveys) gone(ctx context.Context, server string) (proven bool, now string) {
	addr, ended := sv.directory.Where(server)
	if sv.durable() || ended || addr == "" {
		return ended && !sv.durable(), ""
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	st, err := sv.handshakes.askStatus(ctx, addr, wire.NodeOf(server))
	if err != nil || st.server == server || wire.NodeOf(st.server) != wire.NodeOf(server) {
		return false, ""
	}
	return true, st.server
}

func (sv *surveys) describe(s *succession.Survey, best *succession.Report, id string) Survivor {
	v := Survivor{NodeID: wire.NodeOf(id), Server: id, Vote: Nonvoter, Gone: s.Gone[id],
		Applied: sv.directory.Reached(id)}
	if slices.Contains(best.Voters, id) {
		v.Vote = Voter
	}
	v.Addr, _ = sv.directory.Where(id)
	if seen := sv.directory.Get(v.NodeID); seen != nil {
		v.Name = seen.Name
	}
	if v.Addr == "" {
		v.Addr = sv.directory.Addr(v.NodeID)
	}
	if r := s.Reports[id]; r != nil {
		v.Answers, v.Term, v.Last = true, r.Term, r.Last
	}
	return v
}
