package farmctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// saysAfter is how long a verb is silent before a person is told what it may wait for.
const saysAfter = 2 * time.Second

// shared is a writer that several goroutines write to.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// sayWaits says, once, that a verb waits for a majority of the farm, if it lasts and there is none. Whoever calls it
// calls stop when the verb has ended.
func (c *call) sayWaits(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-time.After(cmp.Or(c.saysAfter, saysAfter)):
		case <-ctx.Done():
			return
		}
		client, err := c.newClient() // by its own connection: the other one waits
		if err != nil {
			return
		}
		if f, err := client.Farm(ctx); err == nil && !f.Quorum && ctx.Err() == nil {
			fmt.Fprintf(c.err, "%s: still waiting: %s\n", c.name, withoutQuorum(f))
		}
	}()
	return func() { cancel(); <-ended }
}

// withoutQuorum says why nothing can be changed.
func withoutQuorum(f admin.Farm) string {
	asked, _ := f.Find(f.Answered)
	voters, alive := f.Voters()
	return fmt.Sprintf("nothing can be changed without a majority of the nodes; %s sees %d of the %d that vote, and %s",
		nameOf(asked), alive, voters, leaderOf(f))
}

func leaderOf(f admin.Farm) string {
	if l, ok := f.Find(f.Leader); ok {
		return nameOf(l) + ", which leads, does not hear of the others"
	}
	return "none of them leads"
}
