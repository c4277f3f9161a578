package farm

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// answer answers what an operator asks about the configuration, jobs and locks, and has jobs run, paused and
// forgotten, and migrations forgotten: any node may.
func (f *Farm) answer(ctx context.Context, words []string) (any, error) {
	if f.gateNow.Load() == nil {
		return nil, errors.New("this node is just starting; ask again in a moment")
	}
	if len(words) != 2 {
		return nil, fmt.Errorf("this program does not understand the question %q: its version is another", words)
	}
	verb, about := words[0], words[1]
	if v, ok, err := f.answerConfig(ctx, verb, about); ok {
		return v, err
	}
	if v, ok, err := f.answerCredential(ctx, verb, about); ok {
		return v, err
	}
	switch verb {
	case program.Jobs, program.Job, program.Locks, program.Migrations:
		if level := f.node.State().Level; level < once.CommandLevel(nil) {
			return nil, errJobsLevel(level)
		}
	}
	switch verb {
	case program.Jobs:
		return f.jobList(ctx, about), nil
	case program.Job:
		return f.oneJob(ctx, about)
	case program.Locks:
		return f.lockList(ctx, about), nil
	case program.Migrations:
		return f.migrationList(ctx, about), nil
	case program.ForgetMigration:
		return struct{}{}, f.forgetMigration(ctx, about)
	case program.RunJob, program.PauseJob, program.ResumeJob, program.ForgetJob:
		return struct{}{}, f.orderJob(ctx, verb, about)
	}
	return nil, fmt.Errorf("this program does not know the question %q: its version is another", verb)
}
