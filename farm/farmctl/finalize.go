package farmctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func finalizeVerb() *verb {
	return &verb{
		name:   "finalize",
		remote: true,
		short:  "put a new protocol level in force",
		long: `
Puts the highest protocol level in force that all members speak. After that no node can go back to a version of the
program that does not speak it; until then all can. Refused, with the names, if some members speak a higher level
and others do not yet. A farm whose members all speak a level does this by itself after 24 hours.`,
		define: func(c *call) func(context.Context) error {
			yes := c.flags.Bool("yes", false, "do not ask")
			return func(ctx context.Context) error { return c.finalize(ctx, *yes) }
		},
	}
}

// finalized is what finalize prints for scripts.
type finalized struct {
	Before int `json:"before"`
	Level  int `json:"level"`
}

func (c *call) finalize(ctx context.Context, yes bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	f, err := client.Farm(ctx)
	if err != nil {
		return err
	}
	if f.CommonLevel > f.Level {
		fmt.Fprintf(c.err, "Farm %s goes from protocol level %d to %d. After that no node can go back to a version that does not "+
			"speak it.\n", printable(f.Name), f.Level, f.CommonLevel)
		for _, who := range f.HeldBack {
			fmt.Fprintf(c.err, "No further, because of %s.\n", printable(who))
		}
		for _, m := range f.Members {
			if m.Vote != "" && m.Status != admin.Alive {
				fmt.Fprintf(c.err, "%s is %s: if it came back with an older version than it had, it would be turned away.\n",
					nameOf(m), m.Status)
			}
		}
		if err := c.confirm(ctx, yes, f.Name); err != nil {
			return err
		}
	}
	done, err := client.Finalize(ctx)
	if err != nil {
		return err
	}
	return c.sayFinalized(f, done)
}

func (c *call) sayFinalized(before admin.Farm, done admin.Finalized) (err error) {
	switch {
	case c.json:
		return c.printJSON(finalized{before.Level, done.Level})
	case done.Level == before.Level:
		_, err = fmt.Fprintf(c.out, "The farm works at protocol level %d, and no member speaks a higher one. Nothing has changed.\n",
			done.Level)
	default:
		_, err = fmt.Fprintf(c.out, "The farm works at protocol level %d from now on.\n", done.Level)
	}
	if len(before.HeldBack) > 0 && done.Level > before.Level {
		_, err = fmt.Fprintf(c.out, "Some members speak a higher one; held back by %s.\n",
			printable(strings.Join(before.HeldBack, "; ")))
	}
	return err
}
