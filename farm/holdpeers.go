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
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// holdLine is the answer to pathHold: what the node lacks; "" = it holds requests, and all that had begun are answered.
type holdLine struct {
	Lacks string `json:"lacks"`
}

// maxHoldAsked is for how long a node waits at most before it says what it lacks.
const maxHoldAsked = 10 * time.Second

// Hold has a member hold requests for a Strict rollout. It says what it lacks a little before ctx ends.
func (p peers) Hold(ctx context.Context, member string, rollout uint64) error {
	if p.here(member) {
		return p.f.configs.Hold(ctx, rollout)
	}
	patience := maxHoldAsked
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)*3/4)
	}
	res, err := p.ask(ctx, member, pathHold, rollout, "ms", strconv.FormatInt(patience.Milliseconds(), 10))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var l holdLine
	if err = json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(&l); err != nil {
		return fmt.Errorf("the answer of %s is not understood: %w", member, err)
	}
	if l.Lacks != "" {
		return errors.New(l.Lacks)
	}
	return nil
}

// Unseen returns the nodes that belong to the farm, and that Members says nothing of.
func (p peers) Unseen() []string { return mayServe(p.f.node.State()) }

// mayServe is Unseen: those that this node has not seen since it started, and those that are dead, as far as is known,
// while another node has their name.
func mayServe(st cluster.State) []string {
	out := slices.Clone(st.Unseen)
	for _, m := range st.Members {
		switch {
		case m.Status != cluster.Dead || m.Tags[tagReleases] == "" || isOver(st, m):
		case givenUp(m):
			out = append(out, m.Name+", which was silent for so long that the farm has given it up")
		case slices.ContainsFunc(st.Members, func(o cluster.Member) bool {
			return o.Name == m.Name && o.Status == cluster.Alive
		}):
			out = append(out, "another "+m.Name)
		}
	}
	return out
}

// serveHold answers pathHold.
func (f *Farm) serveHold(w http.ResponseWriter, r *http.Request) {
	id, ok := rolloutOf(w, r)
	if !ok {
		return
	}
	ms, err := strconv.ParseInt(r.URL.Query().Get("ms"), 10, 32)
	if err != nil || ms < 0 || ms > maxHoldAsked.Milliseconds() {
		http.Error(w, "ms is no time for which to wait", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	defer cancel()
	var l holdLine
	if err := f.configs.Hold(ctx, id); err != nil {
		l.Lacks = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(l)
}
