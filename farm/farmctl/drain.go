package farmctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

func drainVerb() *verb {
	return &verb{
		name: "drain", args: "NAME", least: 1, most: 1,
		remote: true,
		short:  "have a node take no requests, or take them again",
		long: `
Has the node of that name (or NodeID) drain: its readiness path says 503, the others choose it no more,
what still comes to it is forwarded, running requests finish, and streams are told to go, one by one. It
goes on running, votes, and stays a member. Requests are not cut off; WebSockets, and event streams that it
forwards, are closed within its CloseSpread, and their clients connect anew. Refused if no other node is
ready to serve.

With -cancel: has it serve again. A node that stops or leaves cannot be called back.`,
		define: func(c *call) func(context.Context) error {
			back := c.flags.Bool("cancel", false, "have it serve again")
			wait := c.flags.Duration("wait", 2*time.Minute,
				"how `long` to wait until it has nothing left to do, or serves; 0 = do not wait")
			return func(ctx context.Context) error { return c.drain(ctx, c.args[0], *back, *wait) }
		},
	}
}

// drained is what drain prints for scripts.
type drained struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Gate string `json:"gate"` // "draining", "drained" or "ready"
}

func (c *call) drain(ctx context.Context, name string, back bool, wait time.Duration) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	m, err := c.memberNamed(ctx, client, name)
	if err != nil {
		return err
	}
	word, goal := order.Drain, order.Drained
	if back {
		word, goal = order.Undrain, order.Ready
	}
	if err := client.Order(ctx, m.ID, word); err != nil {
		return err
	}
	said := drained{m.Name, m.ID, order.Draining}
	if wait > 0 {
		if err := c.awaitGate(ctx, client, m, goal, wait); err != nil {
			return err
		}
		said.Gate = goal
	}
	switch {
	case c.json:
		return c.printJSON(said)
	case back && wait > 0:
		_, err = fmt.Fprintf(c.out, "%s serves again.\n", nameOf(m))
	case back:
		_, err = fmt.Fprintf(c.out, "%s was asked to serve again.\n", nameOf(m))
	case wait > 0:
		_, err = fmt.Fprintf(c.out,
			"%s has drained. It forwards what comes; %s drain -cancel %s has it serve again.\n",
			nameOf(m), c.name, nameOf(m))
	default:
		_, err = fmt.Fprintf(c.out, "%s drains.\n", nameOf(m))
	}
	return err
}

// memberNamed returns the member of that name or NodeID.
func (c *call) memberNamed(ctx context.Context, client *admin.Client, name string) (admin.Member, error) {
	f, err := client.Farm(ctx)
	if err != nil {
		return admin.Member{}, err
	}
	m, ok := f.Find(name)
	if !ok {
		return m, fmt.Errorf("farm %s has %w %q: %s members lists them", f.Name, admin.ErrNoMember, name,
			c.name)
	}
	return m, nil
}

// awaitGate waits until a member says that its gate is so.
func (c *call) awaitGate(ctx context.Context, client *admin.Client, m admin.Member, goal string,
	wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	last := ""
	for {
		f, err := client.Farm(ctx)
		if err == nil {
			now, _ := f.Find(m.ID)
			if last = now.Tags[order.Gate]; last == goal {
				return nil
			}
		}
		if errors.Is(err, admin.ErrNotAuthorized) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s was asked, and is %s still: its log, and the readiness path of its admin port, tell "+
				"what it waits for; -cancel takes the drain back",
				nameOf(m), dash(last))
		}
	}
}
