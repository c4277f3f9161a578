package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

func jobsVerb() *verb {
	return &verb{
		name: "jobs", args: "[show | run | pause | resume | forget NAME]", most: 2,
		remote: true,
		short:  "show the jobs of the farm; run one now, pause or forget it",
		long: `
Shows the jobs of the farm, which its programs register by Farm.Every: when each is due next, in its own time
zone, which node runs it now, what came of its last run, and of all times so far how many were claimed for a
run, skipped (it was paused, or an earlier run went on) and missed (no node could run it). "show NAME" tells
more of one, and its last ten runs.

"run NAME" has it run now, on one node, paused or not; it waits until a run that goes on has ended.
"pause NAME" has its times skipped until "resume NAME". "forget NAME" removes a job that no program registers
any more, with its results. Any node can be asked, and these are for the whole farm.`,
		define: func(c *call) func(context.Context) error { return c.jobs },
	}
}

func (c *call) jobs(ctx context.Context) error {
	if len(c.args) == 0 {
		return c.listJobs(ctx)
	}
	do, ok := map[string]struct{ word, said string }{
		"show": {program.Job, ""},
		"run": {program.RunJob,
			"runs now, or as soon as its present run has ended; %s jobs show %s tells what comes of it."},
		"pause":  {program.PauseJob, "is paused: its times are skipped. %s jobs resume %s has it go on."},
		"resume": {program.ResumeJob, "goes on; %s jobs show %s tells when it is due."},
		"forget": {program.ForgetJob, "is forgotten."},
	}[c.args[0]]
	if !ok || len(c.args) != 2 {
		return usage("it is: %s %s %s", c.name, c.verb.name, c.verb.args)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	name := c.args[1]
	if do.word == program.Job {
		var l program.JobList
		if err := ask(ctx, client, &l, do.word, name); err != nil {
			return err
		}
		return c.showJob(l)
	}
	if err := ask(ctx, client, nil, do.word, name); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(jobDone{name, c.args[0]})
	}
	said := do.said
	if strings.Contains(said, "%") {
		said = fmt.Sprintf(said, c.name, printable(name))
	}
	_, err = fmt.Fprintf(c.out, "%s %s\n", printable(name), said)
	return err
}

// jobDone is what "jobs run" and its kin print for scripts.
type jobDone struct {
	Name string `json:"name"`
	Done string `json:"done"` // run, pause, resume or forget
}

// ask asks the farm's program something, and says what to do where it is too old for that.
func ask(ctx context.Context, client *admin.Client, v any, words ...string) error {
	err := client.Ask(ctx, v, words...)
	if errors.Is(err, admin.ErrUnsupported) {
		return fmt.Errorf("%w; jobs and locks take a newer program on all nodes", err)
	}
	return err
}

func (c *call) listJobs(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all := program.JobList{Jobs: []once.Job{}} // never null for scripts
	for part := (program.JobList{More: true}); part.More; {
		last := ""
		if n := len(all.Jobs); n > 0 {
			last = all.Jobs[n-1].Name
		}
		part = program.JobList{}
		if err := ask(ctx, client, &part, program.Jobs, last); err != nil {
			return err
		}
		part.More = part.More && len(part.Jobs) > 0
		all.At, all.Stale, all.Jobs = part.At, all.Stale || part.Stale, append(all.Jobs, part.Jobs...)
	}
	if c.json {
		return c.printJSON(jobsShown{all.Stale, all.Jobs})
	}
	return c.printJobs(c.out, all)
}

// jobsShown is what jobs prints for scripts.
type jobsShown struct {
	Stale bool       `json:"stale"` // no leader answers: this is what the node that was asked knew last
	Jobs  []once.Job `json:"jobs"`
}

// printJobs prints jobs for people: a line for each, and what needs their attention.
func (c *call) printJobs(w io.Writer, l program.JobList) error {
	printStale(w, l.Stale)
	if len(l.Jobs) == 0 {
		_, err := fmt.Fprintln(w, "The farm has no jobs: none of its programs has registered one (Farm.Every).")
		return err
	}
	var rows [][]string
	var notes []string
	for _, j := range l.Jobs {
		rows = append(rows, []string{dash(j.Name), dash(j.Cron), dash(j.Zone), next(l.At, j), runsOn(j),
			last(l.At, j), fmt.Sprint(j.Claimed), fmt.Sprint(j.Skipped), fmt.Sprint(j.MissedTimes)})
		notes = append(notes, c.jobNotes(j)...)
	}
	head := []string{"NAME", "SCHEDULE", "ZONE", "NEXT", "RUNS NOW ON", "LAST", "CLAIMED", "SKIPPED", "MISSED"}
	if err := table(w, head, rows); err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	return nil
}

func printStale(w io.Writer, stale bool) {
	if stale {
		fmt.Fprint(w, "No leader answers: this is what the node that was asked knew last.\n\n")
	}
}

// next says when a job is due.
func next(now time.Time, j once.Job) string {
	switch {
	case j.Paused:
		return "paused"
	case j.Next.IsZero() || len(j.Nodes) == 0:
		return "-"
	}
	at := inZone(j.Next, j.Zone).Format("2006-01-02 15:04:05 MST")
	if left := j.Next.Sub(now); left > 0 {
		return at + ", in " + coarse(left)
	}
	return at + ", due"
}

// inZone returns a time in a zone that this machine may not know; then it is in UTC.
func inZone(t time.Time, zone string) time.Time {
	if l, err := time.LoadLocation(zone); err == nil {
		return t.In(l)
	}
	return t.UTC()
}

// coarse returns a duration to two units: 3h20m, 45s.
func coarse(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= time.Second:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

func runsOn(j once.Job) string {
	var nodes []string
	for _, r := range j.Running {
		nodes = append(nodes, printable(r.Node))
	}
	if j.Waiting > 0 {
		nodes = append(nodes, fmt.Sprintf("(%d wait)", j.Waiting))
	}
	return dash(strings.Join(nodes, " "))
}

// last says what came of the last run.
func last(now time.Time, j once.Job) string {
	if len(j.Results) == 0 {
		return "-"
	}
	r := j.Results[len(j.Results)-1]
	text := fmt.Sprintf("%s on %s in %s, %s ago", r.Outcome, dash(r.Node), short(r.Took),
		coarse(max(now.Sub(r.Started.Add(r.Took)), 0)))
	if r.Outcome == "failed" {
		text += ": " + cut(printable(r.Error), 60)
	}
	return text
}

// cut returns the beginning of a text.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// jobNotes returns what an operator should know of a job, and what to do about it.
func (c *call) jobNotes(j once.Job) (notes []string) {
	name := printable(j.Name)
	if len(j.Nodes)+len(j.Differ) == 0 {
		notes = append(notes,
			fmt.Sprintf("No program that runs now registers %s, so nobody runs it; %s jobs forget %s removes it.",
				name, c.name, name))
	}
	if len(j.Differ) > 0 {
		notes = append(notes,
			fmt.Sprintf("%s is registered differently by %s. What %s registers counts until those have ended.",
				name, names(j.Differ), names(j.Nodes)))
	}
	return notes
}

func names(list []string) string { return printable(strings.Join(list, ", ")) }

// showJob shows one job with its last runs.
func (c *call) showJob(l program.JobList) error {
	if len(l.Jobs) != 1 {
		return fmt.Errorf("the node told of %d jobs, and was asked for one", len(l.Jobs))
	}
	j := l.Jobs[0]
	if c.json {
		return c.printJSON(jobsShown{l.Stale, l.Jobs})
	}
	w := c.out
	printStale(w, l.Stale)
	fmt.Fprintf(w, "%s: %s (%s), overlap %s, missed %s\n", printable(j.Name), printable(j.Cron),
		printable(j.Zone), printable(j.Overlap), printable(j.Missed))
	fmt.Fprintf(w, "  next: %s\n", next(l.At, j))
	fmt.Fprintf(w, "  registered by: %s\n", dash(names(j.Nodes)))
	fmt.Fprintf(w, "  times: %d claimed, %d skipped, %d missed\n", j.Claimed, j.Skipped, j.MissedTimes)
	if j.Waiting > 0 {
		fmt.Fprintf(w, "  waiting: %d times, until an earlier run has ended\n", j.Waiting)
	}
	for _, n := range c.jobNotes(j) {
		fmt.Fprintf(w, "  %s\n", n)
	}
	var rows [][]string
	row := func(r once.Run, came, took, text string) {
		due := inZone(r.Time, j.Zone).Format("2006-01-02 15:04:05 MST")
		if r.Manual {
			due += ", by hand"
		}
		rows = append(rows, []string{"  " + due, dash(r.Node), fmt.Sprint(r.Fence), came, took, text})
	}
	for _, r := range j.Running {
		row(r, "runs", coarse(max(l.At.Sub(r.Started), 0)), "")
	}
	for i := len(j.Results) - 1; i >= 0; i-- {
		r := j.Results[i]
		row(r.Run, r.Outcome, short(r.Took), printable(r.Error))
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, []string{"  FOR", "NODE", "FENCE", "OUTCOME", "TOOK", "ERROR"}, rows)
}
