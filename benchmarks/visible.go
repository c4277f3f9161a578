package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	modeVisible = "visible"

	warmChanges = 5
	betweenThem = 20 * time.Millisecond // from when all show a change to the next one
)

// visibility is what one system did: a figure for each change.
type visibility struct {
	label    string
	all      []time.Duration // from the call until the last node shows it
	acked    []time.Duration // from the call until the system says that it is done
	after    []time.Duration // from then until the last node shows it; below 0 if that was before
	apart    []time.Duration // from the first node to the last
	cpu      time.Duration
	measured int
}

// visible measures how long a change takes from one node to all: with a farm a change of configuration,
// which every node makes ready before all switch to it, with etcd a key that all watch.
func (b *bench) visible(ctx context.Context, procs *processes, dir string) error {
	var fleets []*fleet
	defer func() {
		for _, f := range fleets {
			f.stop()
		}
	}()
	kinds, err := b.fleetKinds()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		f, err := startFleet(procs, kind, b.nodes, false, filepath.Join(dir, modeVisible))
		if err != nil {
			return err
		}
		fleets = append(fleets, f)
	}
	results := make([]*visibility, len(fleets))
	for i, f := range fleets {
		results[i] = &visibility{label: f.label}
	}
	value := 0
	for round := range b.rounds {
		for i := range fleets {
			at := (i + round) % len(fleets)
			before := fleets[at].cpu()
			for change := range warmChanges + b.changes {
				if err := ctx.Err(); err != nil {
					return err
				}
				if change == warmChanges {
					before = fleets[at].cpu()
				}
				value++
				if err := results[at].change(fleets[at], value, change >= warmChanges); err != nil {
					return err
				}
				rest(ctx, betweenThem)
			}
			results[at].cpu += fleets[at].cpu() - before
		}
	}
	b.printVisible(results)
	return nil
}

// change has one node announce a value, another one each time, and notes when it was seen.
func (v *visibility) change(f *fleet, value int, counts bool) error {
	n := len(f.workers)
	r, err := f.order(value%n, order{Do: orderAnnounce, Value: value})
	if err != nil {
		return err
	}
	at, err := f.shown(n, value)
	if err != nil || !counts {
		return err
	}
	begun, done := time.Unix(0, r.At), time.Unix(0, r.Done)
	apart, last := apart(at)
	v.all, v.acked = append(v.all, last.Sub(begun)), append(v.acked, done.Sub(begun))
	v.after, v.apart = append(v.after, last.Sub(done)), append(v.apart, apart)
	v.measured++
	return nil
}

func (b *bench) printVisible(all []*visibility) {
	fmt.Fprintf(b.out, "\nvisible: a change at one of %d nodes, until all show it; %d rounds of %d changes\n\n",
		b.nodes, b.rounds, b.changes)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tall show it p50\tp99\tacknowledged p50\tp99\tshown after that p50\tp99\t"+
		"apart p50\tp90\tp99\tbest\tCPU each\t")
	for _, v := range all {
		fmt.Fprintf(t, "%s\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t\n", v.label,
			at(v.all, 0.5), at(v.all, 0.99), at(v.acked, 0.5), at(v.acked, 0.99), at(v.after, 0.5), at(v.after, 0.99),
			at(v.apart, 0.5), at(v.apart, 0.9), at(v.apart, 0.99), at(v.apart, 0),
			(v.cpu / time.Duration(max(v.measured, 1))).Round(10*time.Microsecond))
	}
	t.Flush()
}

// at returns a quantile, in what matters of it.
func at(all []time.Duration, quantile float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return short(s[min(int(quantile*float64(len(s))), len(s)-1)])
}
