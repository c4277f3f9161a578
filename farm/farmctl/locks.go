package farmctl

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

func locksVerb() *verb {
	return &verb{
		name:   "locks",
		remote: true,
		short:  "show what is held, by whom, and how many wait",
		long: `
Shows what is held in the farm: locks (Farm.Lock), singletons (Farm.Singleton) and migrations that go on
(Farm.Once), the node that holds each, the fence of its lease, since when, and how many requests wait for it.
Of a singleton these are the nodes that would run it next.`,
		define: func(c *call) func(context.Context) error { return c.locks },
	}
}

func (c *call) locks(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all := program.LockList{Locks: []once.Held{}} // never null for scripts
	for part := (program.LockList{More: true}); part.More; {
		last := ""
		if n := len(all.Locks); n > 0 {
			last = all.Locks[n-1].Kind + "/" + all.Locks[n-1].Name
		}
		part = program.LockList{}
		if err := ask(ctx, client, &part, program.Locks, last); err != nil {
			return err
		}
		part.More = part.More && len(part.Locks) > 0
		all.At, all.Stale, all.Locks = part.At, all.Stale || part.Stale, append(all.Locks, part.Locks...)
	}
	if c.json {
		return c.printJSON(locksShown{all.Stale, all.Locks})
	}
	return printLocks(c.out, all)
}

// locksShown is what locks prints for scripts.
type locksShown struct {
	Stale bool        `json:"stale"` // no leader answers: this is what the node that was asked knew last
	Locks []once.Held `json:"locks"`
}

func printLocks(w io.Writer, l program.LockList) error {
	printStale(w, l.Stale)
	if len(l.Locks) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is held.")
		return err
	}
	var rows [][]string
	for _, h := range l.Locks {
		rows = append(rows, []string{printable(h.Kind), printable(h.Name), dash(h.Node), fmt.Sprint(h.Fence),
			coarse(max(l.At.Sub(h.Since), 0)) + " ago", strconv.Itoa(h.Waiting)})
	}
	return table(w, []string{"KIND", "NAME", "HELD BY", "FENCE", "SINCE", "WAIT"}, rows)
}

// printJobStats prints a node's part in locks and jobs.
func printJobStats(w io.Writer, s *once.Stats) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "\n  jobs and locks: %d held, %d waiting, %d functions running; %d runs of jobs, %d failed\n",
		s.Held, s.Waiting, s.Running, s.Runs, s.Failed)
	if s.Lost+s.Replaced > 0 {
		fmt.Fprintf(w, "  not sure any more of %d leases; taken for dead %d times\n", s.Lost, s.Replaced)
	}
	if s.Ended+s.Expired > 0 {
		fmt.Fprintf(w, "  what others held made free: %d processes had ended, %d were not heard of\n", s.Ended,
			s.Expired)
	}
}
