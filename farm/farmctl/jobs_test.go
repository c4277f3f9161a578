package farmctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// What people see of jobs: one that runs, one that failed, one that is paused, one that nobody registers, and
// one that two programs register differently.
func TestPrintJobs(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	ran := func(outcome, text string) []once.Result {
		return []once.Result{{Run: once.Run{Time: before(time.Hour), Node: "n2", Fence: 7,
			Started: before(time.Hour)},
			Took: 1300 * time.Millisecond, Outcome: outcome, Error: text}}
	}
	l := program.JobList{At: now, Stale: true, Jobs: []once.Job{
		{Name: "gone", Cron: "@daily", Zone: "UTC", Next: now, Results: ran("abandoned",
			"its node ended before it")},
		{Name: "mail", Cron: "*/10 * * * * *", Zone: "UTC", Next: now.Add(4 * time.Second), Nodes: []string{"n1",
			"n2"}, Claimed: 812,
			Missed: "skip", MissedTimes: 3, Results: ran("failed",
				"dial tcp\x1b: no route to host, and so on, and on, and on, and on")},
		{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Next: now.Add(14 * time.Hour),
			Nodes:  []string{"n1"},
			Differ: []string{"n3"}, Results: ran("succeeded", "")},
		{Name: "report", Cron: "@hourly", Zone: "UTC", Paused: true, Nodes: []string{"n1"}, Skipped: 2, Waiting: 1,
			Running: []once.Run{{Time: before(time.Minute), Manual: true, Node: "n1", Fence: 9,
				Started: before(time.Minute)}}},
	}}
	var out bytes.Buffer
	c := &call{console: console{name: "farmctl", out: &out}}
	if err := c.printJobs(&out, l); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n")
	l.Jobs, l.Stale = l.Jobs[3:], false
	l.Jobs[0].Results = append(ran("abandoned", "its node ended before it"), ran("failed", "no paper")...)
	if err := c.showJob(l); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n")
	printLocks(&out, program.LockList{At: now, Locks: []once.Held{
		{Kind: "lock", Name: "till", Node: "n3", Fence: 1764417600000001, Since: before(90 * time.Second),
			Waiting: 12},
		{Kind: "singleton", Name: "restock", Node: "n1", Fence: 8, Since: before(50 * time.Hour), Waiting: 2}}})
	printMigrations(&out, program.MigrationList{At: now, Migrations: []once.Migration{
		{Name: "orders-2", Node: "n2", Fence: 1764417600000001, At: before(3 * time.Hour)}}})
	printJobStats(&out, &once.Stats{Held: 3, Waiting: 2, Running: 1, Runs: 40, Failed: 4, Lost: 1, Replaced: 1,
		Ended: 5})
	golden(t, "jobs.txt", out.Bytes())
}

// Any node tells of the farm's jobs and locks, and has jobs run, paused and forgotten.
func TestJobs(t *testing.T) {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	f := openFarm(t, farm.Config{Name: "n1"})
	f.Handler(http.NotFoundHandler())
	t.Setenv("FARM_JOIN", f.Cluster().Addr())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want(t, codeDone, "has no jobs", "jobs")
	want(t, codeDone, `{"stale":false,"jobs":[]}`, "jobs", "-json")
	want(t, codeDone, "Nothing is held", "locks")

	ran := make(chan once.Tick, 10)
	err := f.Every("yearly", once.Schedule{Cron: "0 0 1 1 *", Zone: "UTC"}, func(_ context.Context,
		tick once.Tick) error {
		ran <- tick
		return fmt.Errorf("no paper")
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSoon(t, codeDone, "01-01 00:00:00 UTC", "jobs")
	want(t, codeDone, "yearly runs now", "jobs", "run", "yearly")
	if tick := <-ran; !tick.Manual {
		t.Errorf("%+v", tick)
	}
	wantSoon(t, codeDone, "failed on n1", "jobs")
	want(t, codeDone, "no paper", "jobs", "show", "yearly")
	want(t, codeDone, "yearly is paused", "jobs", "pause", "yearly")
	want(t, codeDone, "paused", "jobs")
	want(t, codeDone, `{"name":"yearly","done":"resume"}`, "jobs", "resume", "yearly", "-json")
	var shown jobsShown
	got := want(t, codeDone, "", "jobs", "-json")
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil || len(shown.Jobs) != 1 ||
		shown.Jobs[0].Paused ||
		shown.Jobs[0].Claimed != 1 || len(shown.Jobs[0].Results) != 1 {
		t.Errorf("%v, %s", err, got.out)
	}
	want(t, codeRefused, "still registers the job", "jobs", "forget", "yearly")
	for _, do := range []string{"show", "run", "pause", "resume", "forget"} {
		want(t, codeRefused, `the farm has no job "weekly"`, "jobs", do, "weekly")
		want(t, codeUsage, "it is: farmctl jobs", "jobs", do)
	}
	want(t, codeUsage, "it is: farmctl jobs", "jobs", "weekly", "show")

	want(t, codeDone, "No migration has succeeded", "migrations")
	want(t, codeDone, `{"stale":false,"migrations":[]}`, "migrations", "-json")
	times := 0
	migrate := func() int {
		if err := f.Once(ctx, "orders-2", func(context.Context, uint64) error { times++; return nil }); err != nil {
			t.Fatal(err)
		}
		return times
	}
	if n := migrate() + migrate(); n != 2 {
		t.Errorf("it ran twice: %d", n)
	}
	want(t, codeDone, "orders-2", "migrations")
	want(t, codeDone, `{"name":"orders-2","done":"forget"}`, "migrations", "forget", "orders-2", "-json")
	want(t, codeRefused, `no migration "orders-2" has succeeded`, "migrations", "forget", "orders-2")
	if n := migrate(); n != 2 {
		t.Errorf("what was forgotten ran %d times in all", n)
	}
	want(t, codeUsage, "it is: farmctl migrations", "migrations", "orders-2")

	lease, err := f.Lock(ctx, "till")
	if err != nil {
		t.Fatal(err)
	}
	want(t, codeDone, fmt.Sprint(lease.Fence()), "locks")
	want(t, codeDone, `"kind":"lock","name":"till","node":"n1"`, "locks", "-json")
	want(t, codeDone, "1 held, 0 waiting, 0 functions running; 1 runs of jobs, 1 failed", "stats")
}

// A list that does not fit into one answer comes in parts.
func TestJobs_Many(t *testing.T) {
	clean(t)
	var asked []string
	answer := func(_ context.Context, words []string) (any, error) {
		asked = append(asked, strings.Join(words, " "))
		switch words[1] {
		case "":
			return program.JobList{Jobs: []once.Job{{Name: "a"}, {Name: "b"}}, More: true}, nil
		case "b":
			return program.JobList{Jobs: []once.Job{{Name: "c"}}}, nil
		case "leaderless":
			return nil, fmt.Errorf("not now: %w", cluster.ErrNoLeader)
		case "lost":
			return nil, fmt.Errorf("who knows: %w", cluster.ErrUncertain)
		}
		return nil, errors.New("not today")
	}
	open(t, cluster.Config{Name: "n1", Program: cluster.Program{Ask: answer}})
	got := want(t, codeDone, "", "jobs", "-json")
	var shown jobsShown
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil || len(shown.Jobs) != 3 ||
		shown.Jobs[2].Name != "c" {
		t.Errorf("%v, %s, asked %q", err, got.out, asked)
	}
	want(t, codeRefused, "n1: not today", "jobs", "run", "x")
	if got := ctl(t, "jobs", "run", "leaderless"); got.code != codeNoQuorum || !strings.Contains(got.err,
		"n1: not now") {
		t.Errorf("%+v", got)
	}
	want(t, codeInterrupted, "n1: who knows", "jobs", "run", "lost")
}

// A program without jobs, and a farm that cannot be asked, say so.
func TestJobs_None(t *testing.T) {
	clean(t)
	open(t, cluster.Config{Name: "n1"})
	want(t, codeRefused, "the program on n1 answers no questions", "jobs")
	want(t, codeRefused, "the program on n1 answers no questions", "locks")
}
