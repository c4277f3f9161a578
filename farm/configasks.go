package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// answerConfig answers what an operator asks of the configuration; false if it is about something else.
func (f *Farm) answerConfig(ctx context.Context, ask, details string) (answer any, ok bool, err error) {
	switch ask {
	case order.ConfigGet:
		answer, err = answered(details, f.configFiles)
	case order.ConfigPut:
		answer, err = answered(details, func(c order.ConfigChange) (order.ConfigDone, error) {
			return f.configPut(ctx, c)
		})
	case order.ConfigRollback:
		answer, err = answered(details, func(c order.ConfigBack) (order.ConfigDone, error) {
			return f.configRollback(ctx, c)
		})
	case order.ConfigHistory:
		answer = f.configHistory()
	case order.ConfigDiff:
		answer, err = answered(details, func(p order.ConfigPair) ([]order.ConfigDifference, error) {
			return differences(f.configs.Diff(p.From, p.To))
		})
	case order.ConfigSeal:
		answer, err = answered(details, f.configSeal)
	case order.ConfigReseal:
		answer, err = answered(details, f.configReseal)
	case order.ConfigExplain:
		answer, err = answered(details, f.configExplain)
	default:
		return nil, false, nil
	}
	if err != nil {
		err = &asSaid{err}
	}
	return answer, true, err
}

// asSaid is an error with the text that people read.
type asSaid struct{ error }

func (e *asSaid) Error() string { return plainly(e.error) }
func (e *asSaid) Unwrap() error { return e.error }

// answered has a question of its own type answered.
func answered[Q, A any](details string, f func(Q) (A, error)) (any, error) {
	var q Q
	if err := json.Unmarshal([]byte(details), &q); err != nil {
		return nil, fmt.Errorf("the question is not understood: %w", err)
	}
	return f(q)
}

func (f *Farm) epochOf(e configsync.Epoch) order.ConfigEpoch {
	by, credential := f.configs.EpochAuthority(e)
	return order.ConfigEpoch{Epoch: e.Number, Release: e.Release, Revision: e.Revision, Index: e.Index, Time: e.Time, Who: e.Who,
		By: string(by), Credential: credential, Why: e.Why}
}

func (f *Farm) configFiles(q order.ConfigOf) (order.ConfigFiles, error) {
	files, e, err := f.configs.Files(q.Epoch)
	return order.ConfigFiles{ConfigEpoch: f.epochOf(e), Files: files}, err
}

func (f *Farm) configSeal(p order.ConfigPlain) (order.ConfigSealed, error) {
	token, err := f.configs.Seal(p.Config, p.Field, p.Text)
	return order.ConfigSealed{Token: token}, err
}

func (f *Farm) configReseal(order.ConfigOf) (order.ConfigFiles, error) {
	files, e, err := f.configs.Files(0)
	if err == nil {
		files, err = f.configs.Reseal(files)
	}
	return order.ConfigFiles{ConfigEpoch: f.epochOf(e), Files: files}, err
}

func (f *Farm) configHistory() order.ConfigPast {
	past := order.ConfigPast{Epochs: []order.ConfigEpoch{}}
	for _, e := range f.configs.Epochs() {
		past.Epochs = append(past.Epochs, f.epochOf(e))
	}
	return past
}

// tryChange checks a change, and returns what an operator is told of it. to makes the new files of those that
// are in force. These are looked at once: if others are in force by the time of the write, it is refused.
func (f *Farm) tryChange(w order.ConfigWrite, to func(configsync.Files) (configsync.Files, error)) (
	done order.ConfigDone, err error) {
	old, e, err := f.configs.Files(0)
	if err != nil {
		return done, err
	}
	if done.Was = e.Number; e.Number != w.Epoch {
		return done, f.configs.Conflict(w.Epoch)
	}
	files, err := to(old)
	if err != nil {
		return done, err
	}
	if err = f.configs.Check(files); err != nil {
		return done, err
	}
	done.Epoch = e.Number
	done.Differences, err = differences(f.configs.DiffFiles(old, files))
	return done, err
}

func (f *Farm) configPut(ctx context.Context, c order.ConfigChange) (order.ConfigDone, error) {
	change := configsync.Change{Write: configsync.Write(c.ConfigWrite), Set: c.Set, Remove: c.Remove}
	plan, err := planOf(order.RolloutPlan{Restart: c.Restart, Strict: c.Strict})
	if err != nil {
		return order.ConfigDone{}, err
	}
	change.Restart, change.Strict = plan.Restart, plan.Strict
	done, err := f.tryChange(c.ConfigWrite, func(files configsync.Files) (configsync.Files, error) {
		return files.With(change), nil
	})
	if done.Dry = c.Dry; c.Dry || err != nil && !errors.Is(err, configsync.ErrConflict) && !f.written(ctx, c.Key) {
		return done, err
	}
	done.Epoch, err = f.configs.Put(ctx, change)
	return f.doneBefore(done, c.Key), err
}

// written reports whether a write with this key was carried out when it was asked for before, on any node. By what is
// in force then, what it asks for may well be wrong.
func (f *Farm) written(ctx context.Context, key string) bool {
	if f.node.Handle(machineConfig).Barrier(ctx) != nil {
		return false
	}
	_, done := f.configs.Written(key)
	return done
}

// doneBefore fills in what a write with this key has changed, if it was carried out when it was asked for before: what is
// in force is compared with itself then.
func (f *Farm) doneBefore(done order.ConfigDone, key string) order.ConfigDone {
	all := f.configs.Rollouts()
	i := slices.IndexFunc(all, func(r configsync.Rollout) bool { return r.Key == key && key != "" })
	if i < 0 || done.Was == all[i].Was || all[i].Epoch == 0 {
		return done
	}
	if done.Was = all[i].Was; done.Was == 0 { // Diff means what is in force by it
		return done
	}
	if ds, err := differences(f.configs.Diff(all[i].Was, all[i].Epoch)); err == nil {
		done.Differences = ds
	}
	return done
}

func (f *Farm) configRollback(ctx context.Context, c order.ConfigBack) (order.ConfigDone, error) {
	plan, err := planOf(order.RolloutPlan{Restart: c.Restart, Strict: c.Strict})
	if err != nil {
		return order.ConfigDone{}, err
	}
	release := uint64(0)
	done, err := f.tryChange(c.ConfigWrite, func(configsync.Files) (configsync.Files, error) {
		files, e, err := f.configs.Files(c.To)
		release = e.Release
		return files, err
	})
	if done.Dry = c.Dry; c.Dry || err != nil && !errors.Is(err, configsync.ErrConflict) {
		return done, err
	}
	if release == 0 { // this node has seen another epoch than the writer: the log decides whose is in force
		done.Epoch, err = f.configs.RollbackPlan(ctx, configsync.Write(c.ConfigWrite), c.To, plan)
		return f.doneBefore(done, c.Key), err
	}
	res, err := f.configs.Activate(ctx, configsync.Write(c.ConfigWrite), release, plan)
	done.Epoch = res.Epoch
	return done, err
}

func differences(ds []configsync.Difference, err error) ([]order.ConfigDifference, error) {
	out := make([]order.ConfigDifference, len(ds))
	for i, d := range ds {
		out[i] = order.ConfigDifference(d)
	}
	return out, err
}

func (f *Farm) configExplain(q order.ConfigQuestion) ([]order.ConfigExplained, error) {
	all, err := f.configs.Explain(configsync.Question(q))
	out := make([]order.ConfigExplained, len(all))
	for i, e := range all {
		out[i] = order.ConfigExplained{Field: e.Field, Value: e.Value, Restart: e.Restart, Secret: e.Secret}
		for _, s := range e.Sources {
			out[i].Sources = append(out[i].Sources, order.ConfigSource(s))
		}
	}
	return out, err
}

// configStatus is how this node stands, for those who look at all nodes.
func (f *Farm) configStatus() *order.ConfigStatus {
	s := f.configs.Status()
	out := &order.ConfigStatus{Epoch: s.Epoch, Uses: s.Uses, Problem: s.Problem, Canary: s.CanaryProblem,
		Restart: append([]string{}, s.Restart...), Draft: f.draft.Load()}
	if due, _ := f.restartDue(); len(due.Fields) > 0 {
		out.How = hows[due.How]
	}
	return out
}
