package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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

// look makes a survey of the farm that is called cluster; lost holds the servers that are gone by an
// operator's word. With down, everybody who answers stands down. Who has become a member of a later epoch by
// then, this node included, reports nothing.
func (n *Node) look(ctx context.Context, cluster string, lost map[string]bool, down bool) *succession.Survey {
	s := succession.New()
	asked := map[string]bool{}
	next := []string{n.instance().server}
	for _, m := range n.members.all() {
		// perhaps this node's configuration is too old to have it
		if m.Status == roster.Alive && m.Node != n.id {
			next = append(next, m.Server())
		}
	}
	for len(next) > 0 {
		n.lookAt(ctx, s, cluster, next, lost, down)
		for _, id := range next {
			asked[id] = true
		}
		next = slices.DeleteFunc(s.Servers(), func(id string) bool { return asked[id] })
	}
	return s
}

// lookAt asks several servers at once: those who are there take no time, those who are not take seconds.
func (n *Node) lookAt(ctx context.Context, s *succession.Survey, cluster string, servers []string,
	lost map[string]bool, down bool) {
	var mu sync.Mutex
	atOnce(servers, func(id string) {
		r, gone, err := n.inquire(ctx, cluster, id, down)
		mu.Lock()
		defer mu.Unlock()
		// one that is about to be taken in has nothing to tell
		if r != nil && len(r.Voters)+len(r.Nonvoters) > 0 {
			s.Reports[r.Server] = r
		}
		s.Gone[id] = gone || lost[id] && (r == nil || r.Server != id)
		s.Led = s.Led || errors.Is(err, wire.ErrHasQuorum)
	})
}

// inquire asks a server for its report. If that is gone, its node may be a member again, and know of a farm
// that goes on out of this node's sight: then the report is of what it is now.
func (n *Node) inquire(ctx context.Context, cluster, server string, down bool) (r *succession.Report,
	gone bool, err error) {
	if r, err = n.askReport(ctx, cluster, server, down); err == nil {
		return r, false, nil
	}
	gone, now := n.gone(ctx, server)
	if !gone || now == "" {
		return nil, gone, err
	}
	r, err = n.askReport(ctx, cluster, now, down)
	return r, err == nil || errors.Is(err, ErrOtherFarm), err // of no farm: it has just been started
}

func (n *Node) askReport(ctx context.Context, cluster, server string, down bool) (*succession.Report, error) {
	patience := dialTimeout
	if down {
		patience = standPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := n.askServer(ctx, server, wire.MethodSurvey,
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
func (n *Node) askServer(ctx context.Context, server string, m wire.Method, payload []byte) ([]byte, error) {
	if server == n.instance().server {
		return n.answer(ctx, wire.Hello{Source: server}, m, payload)
	}
	out, _, err := n.peers.Call(ctx, wire.NodeOf(server), m, payload)
	return out, err
}

// answerSurvey reports what this node holds, and stands down if that is asked and it knows of no leader.
func (n *Node) answerSurvey(payload []byte) ([]byte, error) {
	r := wire.NewReader(payload)
	cluster, down := r.Text(), r.Byte() != 0
	if err := r.End(); err != nil {
		return nil, err
	}
	if cluster == "" || cluster != n.self().cluster {
		return nil, ErrOtherFarm
	}
	if n.fit.err() != nil {
		return nil, wire.ErrNotReformed // what it holds is not known
	}
	in := n.instance()
	if down && len(in.configuration().Servers) > 0 {
		if leader, _ := in.leader.get(); leader != "" && !in.quiet.begun.Load() {
			return nil, wire.ErrHasQuorum
		}
		if err := in.standDown(); err != nil {
			return nil, err
		}
		n.standing.StandDown()
	}
	out, err := n.holdings(in)
	return out.Append(nil), err
}

// holdings says what this node has to offer.
func (n *Node) holdings(in *instance) (r succession.Report, err error) {
	r = succession.Report{Server: in.server, Ordinary: n.cfg.Role == Ordinary}
	r.Term, r.Last, err = in.lastEntry()
	for _, s := range in.configuration().Servers {
		if s.Suffrage == raft.Voter {
			r.Voters = append(r.Voters, string(s.ID))
		} else {
			r.Nonvoters = append(r.Nonvoters, string(s.ID))
		}
	}
	word := n.standing.Word()
	r.Successor, r.Down = word.Successor, in.quiet.ended() && !word.Resuming
	return r, err
}

// succeed carries the re-forming of the farm that is called cluster through, if the survey allows it. Another
// one may do so at the same time, and what comes of that is another farm, which nobody has surveyed.
func (n *Node) succeed(ctx context.Context, cluster string, lost map[string]bool) error {
	if err := n.look(ctx, cluster, lost, false).Verdict(); err != nil {
		return err
	}
	if err := n.standAndFollow(ctx, cluster, lost); err != nil {
		return fmt.Errorf("%w: %w", errHalfWay, err)
	}
	return nil
}

// standAndFollow has everybody who is left stand down, promise to follow one of them, and that one re-form
// the farm.
func (n *Node) standAndFollow(ctx context.Context, cluster string, lost map[string]bool) error {
	s := n.look(ctx, cluster, lost, true)
	if err := s.Verdict(); err != nil {
		return err
	}
	began := time.Now()
	left := s.Left()
	for _, id := range left {
		if !s.Reports[id].Down {
			return fmt.Errorf("%w: %s has not stood down", wire.ErrNotReformed, id)
		}
	}
	heir := s.Heir()
	follow := wire.AppendStrings(wire.AppendString(wire.AppendString(nil, cluster), heir), sortedKeys(lost))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(left, heir)))) {
		if _, err := n.askServer(ctx, id, wire.MethodFollow, follow); err != nil {
			return fmt.Errorf("%w: %s does not promise to follow %s: %w", wire.ErrNotReformed, id, heir, err)
		}
	}
	// those who promised first may soon look whether it has come to nothing
	if time.Since(began) > reformPatience/2 {
		return fmt.Errorf("%w: the promises took too long", wire.ErrNotReformed)
	}
	_, err := n.askServer(ctx, heir, wire.MethodReform, wire.AppendString(nil, cluster))
	return err
}

// answerReform re-forms the farm on this node, to which everybody left has promised to follow.
func (n *Node) answerReform(ctx context.Context, payload []byte) error {
	r := wire.NewReader(payload)
	cluster := r.Text()
	if err := r.End(); err != nil {
		return err
	}
	in := n.instance()
	if !n.standing.MayReform(cluster, in.server) || !in.quiet.ended() {
		return wire.ErrNotReformed
	}
	return n.resets.orderReform(ctx, cluster, nil)
}
