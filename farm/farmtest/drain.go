package farmtest

import (
	"context"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/forward"
)

const (
	tagGate = forward.TagGate
	serving = "ready" // its value on a node that takes requests
)

// Drain has the node drain, as farmctl drain does, and as a termination signal does first: its readiness
// path says 503, the others forward nothing to it, what its clients ask is forwarded, and handlers that run
// finish. It returns when the node has told that it drains, so that the test can look at it. ended returns
// when nothing runs on it any more, with the error of farm.Farm.Drain. The node stays a member: Undrain has
// it serve again, Stop and Restart end it. A node that is down stays down, and a drain under way goes on.
func (n *Node) Drain() (ended func() error) {
	f := n.farm
	f.t.Helper()
	l := n.running()
	if l == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	l.drained.Store(true)
	f.drains.Go(func() {
		defer cancel()
		result <- l.farm.Drain(ctx)
	})
	context.AfterFunc(l.over, cancel)
	f.await(n.name+" does not drain", func() string {
		if gate(l.farm) == serving {
			return "it says that it serves"
		}
		return ""
	})
	return func() error {
		err := <-result
		result <- err
		return err
	}
}

// Undrain takes a drain back, as farmctl undrain does, and waits until the node has told that it serves.
func (n *Node) Undrain() {
	f := n.farm
	f.t.Helper()
	l := n.running()
	if l == nil {
		return
	}
	if err := l.farm.Undrain(); err != nil {
		f.t.Fatalf("farmtest: %s: %v", n.name, err)
	}
	l.drained.Store(false)
	f.await(n.name+" does not serve again", func() string {
		if gate(l.farm) != serving {
			return "it says that it drains"
		}
		return ""
	})
}

// gate returns whether the node takes requests, as it tells the others: "ready" if so.
func gate(app *farm.Farm) string {
	st := app.Cluster().State()
	self, _ := st.Member(st.Self)
	return self.Tags[tagGate]
}
