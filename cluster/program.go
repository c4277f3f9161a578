package cluster

import "context"

// Program is what operators have the program on a node do, or tell, that is no business of the cluster. Each
// function may be nil. All but Leave may be called by several goroutines.
type Program struct {
	// Leave is called when an operator asks this node to leave the farm for good, once at most, on a
	// goroutine of its own. It finishes what the program does and then calls Node.Leave. nil: the node
	// leaves, and is closed, at once.
	Leave func()

	// Order is called when an operator wants the program on this node to do something, by a word that the
	// program knows (admin.Client.Order). It returns soon. Its error is told to the operator as the reason why
	// the order was refused, unless it is ErrUncertain, ErrNoLeader, ErrOverloaded or admin.ErrNotNow. nil:
	// every order is refused.
	Order func(ctx context.Context, order string) error

	// Ask answers a question of an operator to the program on this node, or does what it asks for in the
	// whole farm (admin.Client.Ask). The first word says what it is about. The answer is written as JSON, of
	// at most 4 MiB. An error is told to the operator as the reason why the question was refused. ErrNoLeader,
	// ErrUncertain, ErrOverloaded and admin.ErrNotNow keep their meaning. nil: every question is refused.
	Ask func(ctx context.Context, words []string) (any, error)

	// Stats returns what the program on this node adds to what operators read of it (admin.Client.Stats), to
	// be written as JSON. It returns soon. nil: nothing.
	Stats func() any
}
