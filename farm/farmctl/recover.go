package farmctl

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/internal/environ"
)

func recoverVerb() *verb {
	return &verb{
		name:   "recover",
		remote: true,
		alone:  true,
		short:  "go on after the loss of the quorum, with what is left",
		long: `
For a farm that has lost so many of its voters for good that it has no quorum. Where nodes are merely down, start
them again: that loses nothing. Farmctl recover asks every member what it holds, shows who is missing and what may
be lost with them, and asks for the farm's name before it does anything. Then the member that holds most of those
who answer goes on, under a new cluster ID, and the others join it. A node that was given up and comes back after
all joins, too; what it had is moved aside in its data directory.

Refused if there is a quorum. -look only shows. A script says -yes and names those it gives up by -lost: all voters
that do not answer, or nothing happens.`,
		define: func(c *call) func(context.Context) error {
			var o recoverOptions
			c.flags.BoolVar(&o.look, "look", false, "show what is left, and do nothing")
			c.flags.BoolVar(&o.yes, "yes", false, "do not ask; needs -lost")
			c.flags.Var(&environ.List{Items: &o.lost}, "lost",
				"`names` or NodeIDs of members that are gone for good; by commas or repeated")
			c.flags.DurationVar(&o.wait, "wait", time.Minute, "how `long` to wait until the members have joined")
			return func(ctx context.Context) error { return c.recover(ctx, o) }
		},
	}
}

type recoverOptions struct {
	look, yes bool
	lost      []string
	wait      time.Duration
}

func (c *call) recover(ctx context.Context, o recoverOptions) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := client.Survey(ctx)
	if err != nil {
		return err
	}
	if o.look {
		return c.showSurvey(c.out, s)
	}
	if s.Quorum {
		return fmt.Errorf("%w: farm %s has a quorum, so there is nothing to recover; see %s members", admin.ErrRefused, s.Farm, c.name)
	}
	lost, err := givenUp(s, o)
	if err != nil {
		return err
	}
	if !o.yes {
		if err := printSurvey(c.err, s); err != nil {
			return err
		}
		fmt.Fprintf(c.err, "\nTo go on without them, for good:\n")
		if err := c.confirm(ctx, false, s.Farm); err != nil {
			return err
		}
	}
	if _, err := client.Recover(ctx, s.ClusterID, lost); err != nil {
		return err
	}
	return c.sayRecovered(s, c.awaitNext(ctx, client, s, o.wait))
}

// givenUp returns the NodeIDs of the servers that do not answer, all of which must have been named if any was.
func givenUp(s admin.Survey, o recoverOptions) (lost []string, err error) {
	if o.yes && len(o.lost) == 0 {
		return nil, usage("-yes needs -lost, with the members that are given up for good: %s", strings.Join(silent(s), ","))
	}
	named := map[string]bool{}
	for _, who := range o.lost {
		i := slices.IndexFunc(s.Servers, func(v admin.Survivor) bool { return v.ID == who || v.Name == who && !v.Answers })
		switch {
		case i >= 0 && s.Servers[i].Answers:
			return nil, fmt.Errorf("%w: %s answers, so it is not lost", admin.ErrRefused, who)
		case i < 0:
			return nil, fmt.Errorf("no member %q is missing: %w", who, admin.ErrNoMember)
		}
		named[s.Servers[i].ID] = true
	}
	for _, v := range s.Servers {
		if v.Answers {
			continue
		}
		if len(o.lost) > 0 && !named[v.ID] && v.Vote == admin.Voter && !v.Gone {
			return nil, fmt.Errorf("%w: %s does not answer either; name it by -lost if it is gone for good", admin.ErrRefused,
				survivorName(v))
		}
		if len(o.lost) == 0 || named[v.ID] {
			lost = append(lost, v.ID)
		}
	}
	return lost, nil
}

func silent(s admin.Survey) (out []string) {
	for _, v := range s.Servers {
		if !v.Answers {
			out = append(out, survivorName(v))
		}
	}
	return out
}

func survivorName(v admin.Survivor) string {
	if v.Name == "" {
		return v.ID
	}
	return printable(v.Name)
}

func (c *call) showSurvey(w io.Writer, s admin.Survey) error {
	if c.json {
		return c.printJSON(s)
	}
	return printSurvey(w, s)
}

// printSurvey prints for people what is left of a farm, and what would be lost.
func printSurvey(w io.Writer, s admin.Survey) error {
	fmt.Fprintf(w, "farm %s, cluster %s, quorum %s\n\n", printable(s.Farm), dash(s.ClusterID), yesNo(s.Quorum))
	var rows [][]string
	for _, v := range s.Servers {
		answers, last, heard := "NO", "-", strconv.FormatUint(v.Applied, 10)
		if v.Answers {
			answers, last, heard = "yes", fmt.Sprintf("entry %d of term %d", v.Last, v.Term), "-"
		} else if v.Gone {
			answers = "gone"
		}
		rows = append(rows, []string{dash(v.Name), v.ID, dash(v.Addr), vote(v.Vote), answers, last, heard})
	}
	head := []string{"NAME", "NODE", "ADDRESS", "ROLE", "ANSWERS", "HOLDS UP TO", "APPLIED, WHEN LAST HEARD"}
	if err := table(w, head, rows); err != nil {
		return err
	}
	for _, line := range prospects(s) {
		fmt.Fprintf(w, "\n%s\n", line)
	}
	return nil
}

// prospects says what a recovery would mean.
func prospects(s admin.Survey) (out []string) {
	if s.Quorum {
		return []string{"The farm has a quorum: there is nothing to recover."}
	}
	i := slices.IndexFunc(s.Servers, func(v admin.Survivor) bool { return v.ID == s.Successor })
	if i < 0 {
		return []string{"Nobody who answers holds the farm's state."}
	}
	best := s.Servers[i]
	out = append(out, fmt.Sprintf("The farm would go on with what %s holds, up to entry %d.", survivorName(best), best.Last))
	for _, v := range s.Servers {
		if !v.Answers {
			out = append(out, loss(v, best))
		}
	}
	if s.Durable {
		out = append(out, "The nodes have data directories: starting the missing ones again loses nothing. Recover only "+
			"what is lost for good.")
	}
	return out
}

// loss says what may be lost with a server that does not answer.
func loss(v, best admin.Survivor) string {
	name := survivorName(v)
	switch {
	case v.Applied > best.Last:
		return fmt.Sprintf("%s does not answer. It had applied entry %d when last heard, and %s holds up to %d: at least %d entries "+
			"would be lost.", name, v.Applied, survivorName(best), best.Last, v.Applied-best.Last)
	case v.Vote == admin.Voter:
		return fmt.Sprintf("%s does not answer. It had applied entry %d when last heard, which %s holds; what was acknowledged with its "+
			"help after that, and reached none of those who answer, would be lost.", name, v.Applied, survivorName(best))
	}
	return fmt.Sprintf("%s does not answer. It has no vote: nothing would be lost with it.", name)
}

// awaitNext waits until the farm is another than the one surveyed, and has a quorum.
func (c *call) awaitNext(ctx context.Context, client *admin.Client, s admin.Survey, wait time.Duration) (f admin.Farm) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if now, err := client.Farm(ctx); err == nil {
			if f = now; f.ClusterID != s.ClusterID && f.Quorum {
				return f
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f
		}
	}
}

// recovered is what recover prints for scripts.
type recovered struct {
	Survey admin.Survey `json:"survey"` // what was left
	Farm   admin.Farm   `json:"farm"`   // what became of it
}

func (c *call) sayRecovered(s admin.Survey, f admin.Farm) error {
	if f.ClusterID == s.ClusterID || !f.Quorum {
		return fmt.Errorf("farm %s was told to go on and does not yet; look at %s members, and at the logs", s.Farm, c.name)
	}
	if c.json {
		return c.printJSON(recovered{s, f})
	}
	_, err := fmt.Fprintf(c.out, "Farm %s goes on. Start new nodes in the place of those that were lost.\n\n", printable(s.Farm))
	if err != nil {
		return err
	}
	return c.printFarm(c.out, f)
}
