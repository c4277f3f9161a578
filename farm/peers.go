package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// tagReleases is gossiped by nodes that take part in rollouts: knowsStrict, or 1 by programs that know no Strict
// rollouts.
const (
	tagReleases = "releases"
	knowsStrict = "2"
)

// Paths of what nodes ask each other about releases.
const (
	pathStage   = "/rollout/stage"
	pathConfirm = "/rollout/confirm"
	pathFollow  = "/rollout/follow"
	pathHold    = "/rollout/hold"
)

// peers are the members of the farm, as releases see them. It is a configsync.Peers.
type peers struct{ f *Farm }

// Members returns those who take part in rollouts: the nodes with this package, but for those that have left.
func (p peers) Members() []configsync.Member { return takePart(p.f.node.State()) }

// takePart is Members. A node that has come back without its data is a member twice, by one name: once dead. One that
// certainly does not run is none.
func takePart(st cluster.State) (out []configsync.Member) {
	for _, m := range st.Members {
		if m.Tags[tagReleases] == "" || m.Status == cluster.Left || isOver(st, m) {
			continue
		}
		is := configsync.Member{Name: m.Name, Role: string(m.Role), Reachable: m.Status == cluster.Alive,
			Strict: m.Tags[tagReleases] == knowsStrict, GivenUp: givenUp(m)}
		switch i := slices.IndexFunc(out, func(o configsync.Member) bool { return o.Name == m.Name }); {
		case i < 0:
			out = append(out, is)
		case is.Reachable:
			out[i] = is
		}
	}
	return out
}

// givenUp reports whether the farm has gone on without a node, since that was silent.
func givenUp(m cluster.Member) bool { return m.Status == cluster.Dead && m.Vote == "" }

// isOver reports whether a node that was given up certainly does not run: an operator has said so, or another one
// listens at its address.
func isOver(st cluster.State, m cluster.Member) bool {
	return givenUp(m) && (m.Removed || slices.ContainsFunc(st.Members, func(o cluster.Member) bool {
		return o.Status == cluster.Alive && o.Addr == m.Addr && o.Addr != ""
	}))
}

// Leads reports whether this node leads the farm.
func (p peers) Leads() bool { return carriesOn(p.f.node.State()) }

// carriesOn is Leads. For a leader that does not take part in rollouts, the first node that does stands in: if two
// think so at a time, that does no harm.
func carriesOn(st cluster.State) bool {
	leader, ok := st.Member(st.Leader)
	if !ok || leader.Tags[tagReleases] != "" || st.Leader == st.Self {
		return st.Leader == st.Self
	}
	for _, m := range st.Members {
		if m.Tags[tagReleases] != "" && m.Status == cluster.Alive && m.ID < st.Self {
			return false
		}
	}
	return true
}

// stageLine is one line of the answer to pathStage: how far the node is, or its vote, or why there is none.
type stageLine struct {
	Progress *configsync.NodeProgress `json:"progress,omitempty"`
	Vote     *configsync.Vote         `json:"vote,omitempty"`
	Error    string                   `json:"error,omitempty"`
}

// Stage has a member make the release of a rollout ready.
func (p peers) Stage(ctx context.Context, member string, rollout uint64,
	progress func(configsync.NodeProgress)) (v configsync.Vote, err error) {
	if p.here(member) {
		return p.f.configs.Stage(ctx, rollout, progress)
	}
	res, err := p.ask(ctx, member, pathStage, rollout)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	err = eachLine(res.Body, func(text []byte) (voted bool, err error) {
		var l stageLine
		switch err := json.Unmarshal(text, &l); {
		case err != nil:
			return false, fmt.Errorf("not understood: %w", err)
		case l.Progress != nil:
			progress(*l.Progress)
			return false, nil
		case l.Vote != nil:
			v = *l.Vote
			return true, nil
		}
		return false, errors.New(l.Error)
	})
	if err != nil {
		err = fmt.Errorf("the answer of %s: %w", member, err)
	}
	return v, err
}

// maxLine bounds a line of an answer: a refusal may list many problems.
const maxLine = 1 << 20

// Confirm asks a member whether it is well after a switch.
func (p peers) Confirm(ctx context.Context, member string, rollout uint64) (h configsync.Health, err error) {
	if p.here(member) {
		return p.f.configs.Confirm(ctx, rollout)
	}
	res, err := p.ask(ctx, member, pathConfirm, rollout)
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	if err = json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&h); err != nil {
		err = fmt.Errorf("the answer of %s is not understood: %w", member, err)
	}
	return h, err
}

func (p peers) here(member string) bool {
	st := p.f.node.State()
	self, _ := st.Member(st.Self)
	return self.Name == member
}

// ask asks a member about a rollout; more are further parameters, each with its value behind it. The answer's status is 200.
func (p peers) ask(ctx context.Context, member, path string, rollout uint64, more ...string) (
	*http.Response, error) {
	id, err := p.idOf(member)
	if err != nil {
		return nil, err
	}
	url := urlOf(id, path) + "?id=" + strconv.FormatUint(rollout, 10)
	for i := 0; i+1 < len(more); i += 2 {
		url += "&" + more[i] + "=" + more[i+1]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.f.peerHTTP.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, fmt.Errorf("%s: %s: %s", member, res.Status, strings.TrimSpace(string(text)))
	}
	return res, nil
}

// idOf returns the NodeID of the member of this name that takes part.
func (p peers) idOf(member string) (id string, err error) {
	for _, m := range p.f.node.State().Members {
		if m.Name == member && m.Tags[tagReleases] != "" && (id == "" || m.Status == cluster.Alive) {
			id = m.ID
		}
	}
	if id == "" {
		err = fmt.Errorf("%s is no member that takes part in rollouts", member)
	}
	return id, err
}

// serveStage answers pathStage.
func (f *Farm) serveStage(w http.ResponseWriter, r *http.Request) {
	id, ok := rolloutOf(w, r)
	if !ok {
		return
	}
	out := newLines(w)
	defer out.stillHere(peerSign)()
	vote, err := f.configs.Stage(r.Context(), id, func(p configsync.NodeProgress) { out.write(stageLine{Progress: &p}) })
	if err != nil {
		out.write(stageLine{Error: err.Error()})
		return
	}
	out.write(stageLine{Vote: &vote})
}

// serveConfirm answers pathConfirm.
func (f *Farm) serveConfirm(w http.ResponseWriter, r *http.Request) {
	id, ok := rolloutOf(w, r)
	if !ok {
		return
	}
	h, err := f.configs.Confirm(r.Context(), id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(h)
}

// rolloutOf returns the rollout that a request is about; if there is none, it is answered.
func rolloutOf(w http.ResponseWriter, r *http.Request) (id uint64, ok bool) {
	id, err := strconv.ParseUint(r.URL.Query().Get("id"), 10, 64)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case err != nil:
		http.Error(w, "id is no number of a rollout", http.StatusBadRequest)
	default:
		return id, true
	}
	return 0, false
}

// serveFollow answers pathFollow: how far a rollout is, line by line, as far as this node knows.
func (f *Farm) serveFollow(w http.ResponseWriter, r *http.Request) {
	id, ok := rolloutOf(w, r)
	if !ok {
		return
	}
	out := newLines(w)
	defer out.stillHere(peerSign)()
	for p := range f.configs.FollowRollout(r.Context(), id) {
		out.write(rolloutOrder(p))
	}
}

// followLeader tells how far a rollout is until it has ended, or ctx has. The node that leads knows of all nodes.
func (f *Farm) followLeader(ctx context.Context, id uint64, tell func(*order.Rollout)) {
	for ctx.Err() == nil {
		st := f.node.State()
		leader, ok := st.Member(st.Leader)
		if ok && st.Leader != st.Self {
			if ended, err := f.followAt(ctx, leader.Name, id, tell); err == nil && ended {
				return
			}
		}
		p, err := f.configs.Rollout(id) // nobody leads, or this node does
		if err != nil {
			return
		}
		tell(rolloutOrder(p))
		if p.Rollout.Phase >= configsync.PhaseDone {
			return
		}
		if ok && st.Leader == st.Self {
			for p := range f.configs.FollowRollout(ctx, id) {
				tell(rolloutOrder(p))
				if !(peers{f}).Leads() {
					break
				}
			}
			continue
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// followAt is followLeader by one member. ended is false if the lines were broken off.
func (f *Farm) followAt(ctx context.Context, member string, id uint64, tell func(*order.Rollout)) (ended bool,
	err error) {
	res, err := peers{f}.ask(ctx, member, pathFollow, id)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	err = eachLine(res.Body, func(text []byte) (bool, error) {
		var r order.Rollout
		if err := json.Unmarshal(text, &r); err != nil {
			return false, err
		}
		tell(&r)
		ended = !r.Ended.IsZero()
		return ended, nil
	})
	return ended, err
}
