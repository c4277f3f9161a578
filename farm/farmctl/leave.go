package farmctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func leaveVerb() *verb {
	return &verb{
		name: "leave", args: "NAME", least: 1, most: 1,
		remote: true,
		short:  "have a member leave for good, or remove a dead one",
		long: `
Asks the member of that name (or NodeID) to leave the farm for good: it drains, hands over what it leads, goes out
of the configuration, and stops. Its data directory then holds nothing that the farm needs. Refused if the others
would have no majority without it. A node that shall come back is simply stopped, and not made to leave.

With -dead: takes a member that is dead, and will not come back, out of the configuration. Refused if it is alive,
and impossible without a majority. Should it come back all the same, it joins again.`,
		define: func(c *call) func(context.Context) error {
			dead := c.flags.Bool("dead", false, "remove a member that is dead")
			wait := c.flags.Duration("wait", 2*time.Minute, "how `long` to wait until it has left; 0 = do not wait")
			return func(ctx context.Context) error { return c.leave(ctx, c.args[0], *dead, *wait) }
		},
	}
}

func (c *call) leave(ctx context.Context, name string, dead bool, wait time.Duration) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	f, err := client.Farm(ctx)
	if err != nil {
		return err
	}
	m, ok := f.Find(name)
	if dead {
		m, ok = findGone(f, name)
	}
	if !ok {
		return fmt.Errorf("farm %s has %w %q: %s members lists them", f.Name, admin.ErrNoMember, name, c.name)
	}
	if dead {
		err = client.Remove(ctx, m.ID)
	} else {
		err = client.Leave(ctx, m.ID)
	}
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := c.awaitGone(ctx, client, m, wait); err != nil {
			return err
		}
	}
	return c.sayLeft(m, dead, wait > 0)
}

// findGone is Find for one that is gone, though a live one may have taken its name by now.
func findGone(f admin.Farm, name string) (admin.Member, bool) {
	for _, m := range f.Members {
		if name != "" && m.Name == name && m.Status != admin.Alive {
			return m, true
		}
	}
	return f.Find(name)
}

// left is what leave prints for scripts.
type left struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Gone bool   `json:"gone"` // it is no member any more
}

func (c *call) sayLeft(m admin.Member, dead, gone bool) error {
	switch {
	case c.json:
		return c.printJSON(left{m.Name, m.ID, gone})
	case dead:
		_, err := fmt.Fprintf(c.out, "%s was removed from the farm.\n", nameOf(m))
		return err
	case gone:
		_, err := fmt.Fprintf(c.out, "%s has left the farm.\n", nameOf(m))
		return err
	}
	_, err := fmt.Fprintf(c.out, "%s was asked to leave the farm.\n", nameOf(m))
	return err
}

const askEvery = 250 * time.Millisecond

// awaitGone waits until the farm says that m is no member any more.
func (c *call) awaitGone(ctx context.Context, client *admin.Client, m admin.Member, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		f, err := client.Farm(ctx)
		// What the leaving node itself says at its end is not the farm's word.
		if err == nil && f.Answered != m.ID {
			if now, found := f.Find(m.ID); !found || now.Vote == "" {
				return nil
			}
		}
		if errors.Is(err, admin.ErrNotAuthorized) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s was asked to leave and was still a member when this stopped waiting; it may be finishing "+
				"requests: look at %s members, and at its log", nameOf(m), c.name)
		}
	}
}
