package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// operatorMux returns the handler of what operators ask over HTTP.
func (f *Farm) operatorMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+order.PathReleases, f.listReleases)
	f.uploadPath(mux)
	mux.HandleFunc("POST "+order.PathActivate, asked(f.activate))
	mux.HandleFunc("POST "+order.PathPreview, asked(f.previewRelease))
	mux.HandleFunc("POST "+order.PathRollback, asked(f.rollback))
	mux.HandleFunc("POST "+order.PathCanary, asked(f.canary))
	mux.HandleFunc("POST "+order.PathUncanary, asked(f.endCanary))
	mux.HandleFunc("POST "+order.PathAbort, asked(f.abortRollout))
	mux.HandleFunc("POST "+order.PathFollow, asked(f.followRollout))
	return mux
}

// maxAsked bounds what an operator asks.
const maxAsked = 1 << 20

// asked returns the handler of a question of its own type.
func asked[Q any](f func(http.ResponseWriter, *http.Request, Q)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsked))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil {
			writeError(w, &order.ReleaseError{Kind: order.KindInvalid,
				Text: "the question is not understood; is this program's version another? " + err.Error()})
			return
		}
		f(w, r, q)
	}
}

// writeError answers with an error about releases, with the status of its kind.
func writeError(w http.ResponseWriter, e *order.ReleaseError) { writeErrorAs(w, e.Status(), e) }

// writeErrorAs answers with an error and a status.
func writeErrorAs(w http.ResponseWriter, status int, e *order.ReleaseError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(order.RolloutLine{Error: e})
}

// listReleases answers with all that this node knows of releases.
func (f *Farm) listReleases(w http.ResponseWriter, r *http.Request) {
	st := f.node.State()
	self, _ := st.Member(st.Self)
	out := order.Releases{Node: self.Name, Epochs: []order.ConfigEpoch{}, Releases: []order.Release{},
		Rollouts: []order.Rollout{}}
	for _, e := range f.configs.Epochs() {
		out.Epochs = append(out.Epochs, f.epochOf(e))
	}
	for _, r := range f.configs.Releases() {
		out.Releases = append(out.Releases, f.releaseOrder(r))
	}
	for _, r := range f.configs.Rollouts() {
		if p, err := f.configs.Rollout(r.ID); err == nil {
			out.Rollouts = append(out.Rollouts, *rolloutOrder(p))
		}
	}
	if c := f.configs.Canary(); c.Release != 0 {
		out.Canary = &order.Canary{Rollout: c.Rollout, Release: c.Release, Nodes: append([]string{}, c.Nodes...),
			Percent: c.Percent}
	}
	out.Restarts = restartsDue(st)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}

// releaseOrder is a release as operators read it.
func (f *Farm) releaseOrder(r configsync.Release) order.Release {
	out := order.Release{ID: r.ID, Revision: r.Revision, Files: r.Content.Files, Size: r.Content.Size,
		Program: r.Program, Publisher: r.Publisher, Credential: f.configs.ReleaseCredential(r),
		Who: r.Who, Why: r.Why, Time: r.Time, Rejected: r.Rejected}
	if !r.Content.Root.IsZero() {
		out.Root = r.Content.Root.String()
	}
	return out
}

func (f *Farm) activate(w http.ResponseWriter, r *http.Request, q order.ReleaseActivate) {
	plan, err := planOf(q.Plan)
	if err != nil {
		writeError(w, &order.ReleaseError{Kind: order.KindInvalid, Text: err.Error()})
		return
	}
	if err := f.overwrites(r.Context(), q); err != nil {
		writeError(w, releaseError(err))
		return
	}
	f.tellRollout(r.Context(), w, q.Key, func(ctx context.Context) (configsync.Result, error) {
		return f.configs.Activate(ctx, configsync.Write(q.ConfigWrite), q.Release, plan)
	})
}

// overwrites says what a release that was kept for later would undo; nil if that is wanted, or nothing. That it stays so,
// the epoch sees to that the question names; and this node has to know that one first.
func (f *Farm) overwrites(ctx context.Context, q order.ReleaseActivate) error {
	if q.Overwrite {
		return nil
	}
	if err := f.node.Handle(machineConfig).Barrier(ctx); err != nil {
		return err
	}
	lost, err := f.configs.Overwritten(q.Release)
	if err == nil && lost != nil {
		return lost
	}
	return err
}

func (f *Farm) canary(w http.ResponseWriter, r *http.Request, q order.ReleaseActivate) {
	plan, err := planOf(q.Plan)
	if err == nil && len(q.Nodes) > 0 && q.Percent > 0 {
		err = errors.New("a canary is for nodes, or for a share of the clients, and not for both")
	}
	if err != nil {
		writeError(w, &order.ReleaseError{Kind: order.KindInvalid, Text: err.Error()})
		return
	}
	if err := f.overwrites(r.Context(), q); err != nil {
		writeError(w, releaseError(err))
		return
	}
	f.tellRollout(r.Context(), w, q.Key, func(ctx context.Context) (configsync.Result, error) {
		if q.Percent > 0 {
			return f.configs.StartPercentCanary(ctx, configsync.Write(q.ConfigWrite), q.Release, q.Percent, plan)
		}
		return f.configs.StartCanary(ctx, configsync.Write(q.ConfigWrite), q.Release, q.Nodes, plan)
	})
}

func (f *Farm) rollback(w http.ResponseWriter, r *http.Request, q order.ReleaseRollback) {
	plan, err := planOf(order.RolloutPlan{Restart: q.Restart, Strict: q.Strict})
	if err != nil {
		writeError(w, &order.ReleaseError{Kind: order.KindInvalid, Text: err.Error()})
		return
	}
	f.tellRollout(r.Context(), w, q.Key, func(ctx context.Context) (res configsync.Result, err error) {
		if err := f.node.Handle(machineConfig).Barrier(ctx); err != nil {
			return res, err
		}
		release, again := f.configs.Written(q.Key) // by now another one may be the one before
		if !again {
			if release, err = earlierRelease(f.configs.Epochs(), q.To); err != nil {
				return res, err
			}
		}
		return f.configs.Activate(ctx, configsync.Write(q.ConfigWrite), release, plan)
	})
}

// earlierRelease returns the release of an epoch; of 0, the one that was in force before the one that is, and that
// the farm did not go back from.
func earlierRelease(all []configsync.Epoch, epoch uint64) (uint64, error) {
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		other := e.Release != 0 && e.Release != all[len(all)-1].Release && !e.Failed
		if epoch == e.Number && e.Release == 0 {
			return 0, fmt.Errorf("%w: in epoch %d there was no release, and there is nothing to go back to; farmctl "+
				"config history lists the epochs", configsync.ErrNoEpoch, epoch)
		}
		if epoch == e.Number || epoch == 0 && other {
			return e.Release, nil
		}
	}
	if epoch == 0 {
		return 0, fmt.Errorf("%w: there is none before the one in force; farmctl config history lists them",
			configsync.ErrNoEpoch)
	}
	return 0, fmt.Errorf("%w: %d; farmctl config history lists those that are", configsync.ErrNoEpoch, epoch)
}

func (f *Farm) endCanary(w http.ResponseWriter, r *http.Request, q order.RolloutEnd) {
	if q.ID == 0 {
		q.ID = f.configs.Canary().Rollout
	}
	f.done204(w, f.configs.EndCanary(r.Context(), q.ID, q.Who, q.Why))
}

func (f *Farm) abortRollout(w http.ResponseWriter, r *http.Request, q order.RolloutEnd) {
	if q.ID == 0 {
		if p, err := f.configs.Rollout(0); err == nil {
			q.ID = p.Rollout.ID
		}
	}
	f.done204(w, f.configs.Abort(r.Context(), q.ID, q.Who, q.Why))
}

// done204 answers what has no answer but an error.
func (f *Farm) done204(w http.ResponseWriter, err error) {
	if err != nil {
		writeError(w, releaseError(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *Farm) followRollout(w http.ResponseWriter, r *http.Request, q order.RolloutEnd) {
	p, err := f.configs.Rollout(q.ID)
	if err != nil {
		writeError(w, releaseError(err))
		return
	}
	out := newLines(w)
	defer out.stillHere(operatorSign)()
	f.followLeader(r.Context(), p.Rollout.ID, func(r *order.Rollout) { out.write(order.RolloutLine{Progress: r}) })
	if p, err = f.configs.Rollout(p.Rollout.ID); err != nil {
		out.write(order.RolloutLine{Error: releaseError(err)})
		return
	}
	out.write(order.RolloutLine{Result: f.resultOf(configsync.Result{Epoch: p.Rollout.Epoch,
		Release: p.Rollout.Release, Rollout: p.Rollout.ID})})
}
