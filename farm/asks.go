package farm

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// errStarting says that this node cannot answer yet.
var errStarting = fmt.Errorf("%w: this node is just starting; ask again in a moment", admin.ErrNotNow)

// answer answers what an operator asks by a question of one line, or has done: any node may. What is large or takes
// long, as a rollout does, he asks over HTTP: operatorMux.
func (f *Farm) answer(ctx context.Context, words []string) (any, error) {
	if f.gateNow.Load() == nil {
		return nil, errStarting
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
	if v, ok, err := f.answerJobs(ctx, verb, about); ok {
		return v, err
	}
	return nil, fmt.Errorf("this program does not know the question %q: its version is another", verb)
}
