package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// print writes the table of one workload. The ratios are Webfarm's throughput by the other's.
func (b *bench) print(w *workload) {
	where := "spread over all three nodes"
	if w.writers == 1 {
		where = "on a follower"
	}
	fmt.Fprintf(b.out, "\n%s: writes of %d B, %d writers %s; medians of %d rounds of %v\n\n", w.mode, valueSize, w.writers, where,
		b.rounds, b.duration)
	printRates(b.out, "writes/s", w.results)
}

// printRates prints what the systems did. The ratios are the first one's rate by the other's.
func printRates(out io.Writer, unit string, results []*result) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t"+unit+"\tmin\tmax\twebfarm is\tp50\tp99\tCPU each\tfailed\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.2f x\t%v\t%v\t%v\t%d\t\n",
			r.label, r.rate(), slices.Min(r.rates), slices.Max(r.rates), results[0].rate()/max(r.rate(), 1),
			short(median(r.p50)), short(median(r.p99)), median(r.cpu).Round(time.Microsecond), r.failed)
	}
	t.Flush()
	for _, r := range results {
		if r.why != "" {
			fmt.Fprintf(out, "  %s failed with: %s\n", r.label, r.why)
		}
	}
}

func (b *bench) printCrashes(all []*crashes) {
	for _, leader := range []bool{true, false} {
		role := "a follower"
		if leader {
			role = "the leader"
		}
		fmt.Fprintf(b.out, "\nfailover: kill -9 of %s, %d times; a write and a read every %v through each survivor\n\n",
			role, b.kills, watchEvery)
		t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "\tpause median\tbest\tworst\twrites failed\tof\treads failed\tof\t")
		for _, c := range all {
			if c.leader == leader {
				fmt.Fprintf(t, "%s\t%v\t%v\t%v\t%d\t%d\t%d\t%d\t\n", c.label, short(median(c.pauses)), short(slices.Min(c.pauses)),
					short(slices.Max(c.pauses)), c.failed, c.writes, c.readFailed, c.reads)
			}
		}
		t.Flush()
		for _, c := range all {
			if c.leader == leader && c.why != "" {
				fmt.Fprintf(b.out, "  %s failed with: %s\n", c.label, c.why)
			}
		}
	}
}

// short rounds a duration to what matters of it.
func short(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}

func printNotes(out io.Writer, mode string, systems []*system) {
	for _, s := range systems {
		if n := s.note[mode]; n != "" {
			fmt.Fprintf(out, "  %s: %s\n", s.label, n)
		}
	}
}
