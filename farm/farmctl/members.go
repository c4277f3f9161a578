package farmctl

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func membersVerb() *verb {
	return &verb{
		name:   "members",
		remote: true,
		alone:  true,
		short:  "show the farm and its members",
		long: `
Shows the farm as the node that answers sees it: who leads, whether a majority of the voters answers just now, and
of every member where it is, whether it votes, its version, the highest protocol level it speaks, the last log entry
it has applied, and how many entries it is behind. A member is alive, dead (it does not answer), stopped (it said
so, and is to come back) or left (for good).`,
		define: func(c *call) func(context.Context) error {
			watch := c.flags.Bool("watch", false, "show it again every two seconds, until interrupted")
			return func(ctx context.Context) error { return c.members(ctx, *watch) }
		},
	}
}

const watchEvery = 2 * time.Second

func (c *call) members(ctx context.Context, watch bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		f, err := client.Farm(ctx)
		if watch && ctx.Err() != nil {
			return nil // interrupted, which is how it ends
		}
		if err == nil {
			err = c.showFarm(f, watch)
		}
		if !watch {
			return err
		}
		if err != nil {
			fmt.Fprintf(c.err, "%s: %s\n", c.name, sentence(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *call) showFarm(f admin.Farm, again bool) error {
	if c.json {
		return c.printJSON(f)
	}
	if again && c.shows {
		fmt.Fprint(c.out, "\x1b[H\x1b[2J") // cursor home, clear
	}
	return c.printFarm(c.out, f)
}

// printFarm prints the farm for people: a line about it, its members, and what needs their attention.
func (c *call) printFarm(w io.Writer, f admin.Farm) error {
	leader, ok := f.Find(f.Leader)
	name := "none"
	if ok && f.Leader != "" {
		name = nameOf(leader)
	}
	fmt.Fprintf(w, "farm %s, cluster %s, leader %s, term %d, quorum %s, level %d\n\n", printable(f.Name), dash(f.ClusterID), name,
		f.Term, yesNo(f.Quorum), f.Level)
	var rows [][]string
	for _, m := range f.Members {
		rows = append(rows, []string{dash(m.Name), m.ID, dash(m.Addr), status(m), role(m), dash(m.Version), number(m.Level),
			strconv.FormatUint(m.Applied, 10), strconv.FormatUint(m.Lag, 10)})
	}
	head := []string{"NAME", "NODE", "ADDRESS", "STATUS", "ROLE", "VERSION", "LEVEL", "APPLIED", "LAG"}
	if err := table(w, head, rows); err != nil {
		return err
	}
	for _, note := range c.notes(f) {
		fmt.Fprintf(w, "\n%s\n", note)
	}
	return nil
}

func nameOf(m admin.Member) string {
	if m.Name == "" {
		return m.ID
	}
	return printable(m.Name)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func status(m admin.Member) string {
	if m.Leaving && m.Status == admin.Alive {
		return "leaving"
	}
	return m.Status
}

// role says what a member is to the others: whether it votes, and why not.
func role(m admin.Member) string {
	var words []string
	if m.Role == "front" || m.Role == "staging" {
		words = append(words, m.Role)
	}
	words = append(words, vote(m.Vote))
	if m.Leader {
		words = append(words, "leader")
	}
	return strings.Join(words, ", ")
}

func vote(v string) string {
	switch v {
	case admin.Voter:
		return "voter"
	case admin.Nonvoter:
		return "non-voter"
	}
	return "not taken in yet"
}

// notes returns what an operator should know, and what to do about it.
func (c *call) notes(f admin.Farm) (out []string) {
	voters, alive := f.Voters()
	switch {
	case f.Failure != "":
		out = append(out, "The node that answers cannot be a member as it is: "+printable(f.Failure))
	case f.ClusterID == "" || voters == 0:
		out = append(out, "The node that answers does not belong to a farm yet: it waits for the others that it expects.")
	case !f.Quorum && alive > voters/2:
		out = append(out, fmt.Sprintf("No majority answered just now, though %d of %d voters are alive: an election, or a partition. "+
			"Look again in a moment.", alive, voters))
	case !f.Quorum:
		out = append(out, fmt.Sprintf("NO QUORUM: %d of %d voters are alive, and it takes %d to write anything. "+
			"Bring the others back; if they are lost for good: %s recover", alive, voters, voters/2+1, c.name))
	}
	if f.Undecided {
		out = append(out, "NO WRITES: copies of the farm's state differ. "+printable(f.Divergence))
	} else if f.Divergence != "" {
		out = append(out, "Copies of the farm's state differ. "+printable(f.Divergence))
	}
	if f.Awaits != "" {
		out = append(out, "The node that answers is to stop, and waits for "+printable(f.Awaits))
	}
	if f.CommonLevel > f.Level && f.Quorum {
		out = append(out, fmt.Sprintf("All members speak protocol level %d. It comes in force by itself after a day, or by: %s finalize",
			f.CommonLevel, c.name))
	}
	return out
}
