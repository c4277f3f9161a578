package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func statsVerb() *verb {
	return &verb{
		name: "stats", args: "[NAME...]", most: 1000,
		remote: true,
		alone:  true,
		short:  "show what waits, how long writes take, and who is reached",
		long: `
Shows what each live member, or each of those named, measures of itself since it was started: the proposals that
wait, its credit at the leader, how long writes take, the disk and the state machines too, how far the log is,
snapshots, why its part in Raft was begun anew, and how it reaches each other member. Of a latency it shows the
median, the bound that 99 of 100 kept, and the longest. A member that cannot be asked is named on standard error,
and the exit code is that of the first one.

With -json it prints one JSON object for each member, on a line of its own.`,
		define: func(c *call) func(context.Context) error { return c.stats },
	}
}

func (c *call) stats(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	f, err := client.Farm(ctx)
	if err != nil {
		return err
	}
	members, err := c.chosen(f)
	if err != nil {
		return err
	}
	var first error
	for i, m := range members {
		s, err := client.At(m.Addr).Stats(ctx)
		if err == nil && s.Node != m.ID {
			err = fmt.Errorf("%w: another node answers at %s", admin.ErrUnreachable, m.Addr)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", nameOf(m), err)
			if first == nil {
				first = err
				continue
			}
			fmt.Fprintf(c.err, "%s: %s\n", c.name, sentence(err))
			continue
		}
		if c.json {
			err = c.printJSON(s)
		} else {
			err = printStats(c.out, s, f, i > 0)
		}
		if err != nil {
			return errors.Join(err, first)
		}
	}
	return first
}

// chosen returns the members that are named, or all that are alive.
func (c *call) chosen(f admin.Farm) (out []admin.Member, err error) {
	for _, name := range c.args {
		m, ok := f.Find(name)
		if !ok {
			return nil, fmt.Errorf("farm %s has %w %q: %s members lists them", f.Name, admin.ErrNoMember, name, c.name)
		}
		out = append(out, m)
	}
	if len(c.args) > 0 {
		return out, nil
	}
	for _, m := range f.Members {
		if m.Status == admin.Alive {
			out = append(out, m)
		}
	}
	return out, nil
}

// printStats prints one member's stats for people.
func printStats(w io.Writer, s admin.Stats, f admin.Farm, more bool) error {
	if more {
		fmt.Fprintln(w)
	}
	leader, _ := f.Find(s.Leader)
	fmt.Fprintf(w, "%s, %s: raft %s, term %d, leader %s\n", dash(s.Name),
		vote(s.Vote), printable(string(s.RaftRole)), s.Term,
		dash(nameOf(leader)))
	if s.Failure != "" {
		fmt.Fprintf(w, "  failure: %s\n", printable(s.Failure))
	}
	fmt.Fprintf(w, "  proposals: %s, %d failed, %d batches sent again\n",
		queue(s.Proposals.Waiting), s.Proposals.Failed,
		s.Proposals.Retries)
	if c := s.Proposals.Credit; c.Leader != "" {
		at, _ := f.Find(c.Leader)
		fmt.Fprintf(w, "  credit at %s: %s\n", dash(nameOf(at)), credit(c))
	}
	if s.RaftRole == admin.RaftLeader {
		fmt.Fprintf(w, "  as the leader: %s, %d nodes send, credit of one up to %s\n", queue(s.Leading.Waiting),
			s.Leading.Origins, amount(s.Leading.Credit))
	}
	fmt.Fprintf(w, "  log: last %d, committed %d, applied %d, behind by %s\n",
		s.Log.Last, s.Log.Committed, s.Log.Applied,
		lag(s.Log.Lag))
	fmt.Fprintf(w, "  snapshots: %s\n", snapshots(s))
	for _, r := range s.Restarts {
		fmt.Fprintf(w, "  raft begun anew %s: %s\n", ago(s.At, r.At), printable(r.Reason))
	}
	fmt.Fprintln(w)
	rows := [][]string{latency("proposals", s.Proposals.Done), latency("commit, as the leader", s.Commit),
		latency("write to the log", s.Store), latency("apply", s.Apply)}
	if err := table(w, []string{"  LATENCY", "COUNT", "MEDIAN", "99%", "LONGEST"}, rows); err != nil {
		return err
	}
	if len(s.Peers) == 0 {
		return printTraffic(w, s)
	}
	fmt.Fprintln(w)
	rows = nil
	for _, p := range s.Peers {
		rows = append(rows, []string{"  " + dash(p.Name), printable(p.Status),
			link(s.At, p.Link), heard(s.At, p), peerLag(p)})
	}
	if err := table(w, []string{"  PEER", "STATUS", "LINK", "HEARD", "LAG"}, rows); err != nil {
		return err
	}
	return printTraffic(w, s)
}

func queue(q admin.Queue) string { return fmt.Sprintf("%d waiting (%s)", q.Count, size(q.Bytes)) }

func amount(q admin.Queue) string { return fmt.Sprintf("%d (%s)", q.Count, size(q.Bytes)) }

// credit returns what of its credit a node uses, or that it gets none.
func credit(c admin.Credit) string {
	if c.Plain {
		return amount(c.Used) + " under way; its program gives none"
	}
	return fmt.Sprintf("%s of %s under way", amount(c.Used), amount(c.Given))
}

func lag(l admin.Lag) string { return fmt.Sprintf("%d entries (%s)", l.Entries, size(l.Bytes)) }

func snapshots(s admin.Stats) string {
	var out []string
	if s.Snapshot.Bytes > 0 {
		out = append(out, size(s.Snapshot.Bytes))
	}
	out = append(out, fmt.Sprintf("%d taken", s.Snapshot.Taken))
	if s.Snapshot.Took > 0 {
		out[len(out)-1] += ", the latest in " + short(s.Snapshot.Took)
	}
	out = append(out, fmt.Sprintf("%d failed, %d restored", s.Snapshot.Failed, s.Snapshot.Restored))
	if s.Snapshot.Restored > 0 {
		out[len(out)-1] += ", the latest in " + short(s.Snapshot.RestoreTook)
	}
	if s.Snapshot.Failure != "" {
		out = append(out, "the latest failed: "+printable(s.Snapshot.Failure))
	}
	return strings.Join(out, "; ")
}

func latency(what string, l admin.Latency) []string {
	row := []string{"  " + what, strconv.FormatUint(l.Count, 10)}
	if l.Count == 0 {
		return append(row, "-", "-", "-")
	}
	return append(row, short(l.Quantile(0.5)), short(l.Quantile(0.99)), short(l.Most))
}

// short returns a duration to three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return short(max(now.Sub(then), 0).Truncate(time.Millisecond)) + " ago"
}

func link(now time.Time, l admin.Link) string {
	switch {
	case l.Connected:
		return "since " + ago(now, l.Since)
	case l.Since.IsZero():
		return "not needed"
	}
	return "none since " + ago(now, l.Since) + ": " + dash(l.Failure)
}

// heard returns when anything was heard of a peer last.
func heard(now time.Time, p admin.Peer) string {
	last := p.Heard
	if p.Link.Heard.After(last) {
		last = p.Link.Heard
	}
	return ago(now, last)
}

func peerLag(p admin.Peer) string {
	switch {
	case p.Fed:
		return "is sent a snapshot"
	case p.LagKnown:
		return lag(p.Lag)
	case p.Follows:
		return "not known"
	}
	return "-"
}
