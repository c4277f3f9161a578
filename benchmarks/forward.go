package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	modeForward = "forward"
	modeStreams = "streams"

	mostFiles = 65536 // open ones of each process, if it may have so many
)

// passage is what one way did: a figure for each round.
type passage struct {
	result
	way *way
}

// forward measures what is between a client and the application: it lets the clients use each way in turn, as
// fast as they are answered, and then at a fixed rate.
func (b *bench) forward(ctx context.Context, procs *processes, dir string) error {
	w, err := b.startWays(procs, filepath.Join(dir, modeForward), b.ways)
	if err != nil {
		return err
	}
	defer w.stop()
	for _, rate := range []int{0, b.rate} {
		all := make([]*passage, len(w.all))
		for i, x := range w.all {
			all[i] = &passage{way: x, result: result{label: x.name}}
		}
		for round := range b.rounds {
			for i := range all {
				if err := ctx.Err(); err != nil {
					return err
				}
				all[(i+round)%len(all)].turn(ctx, b, rate)
			}
		}
		b.printPassages(all, rate)
		if b.rate == 0 {
			break
		}
	}
	return nil
}

// startWays starts what is asked for, and, beside the front of this build, that of another one.
func (b *bench) startWays(procs *processes, dir string, names []string) (*ways, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w, err := startWays(procs, self, dir, names, b.out)
	if err != nil || b.other == "" || !slices.Contains(names, wayFront) {
		return w, err
	}
	other, err := startWays(procs, b.other, dir+"-other", []string{wayFront}, b.out)
	if err != nil {
		w.stop()
		return nil, err
	}
	other.all[0].name = "other"
	w.all, w.started = append(w.all, other.all...), append(w.started, other.started...)
	return w, nil
}

func (p *passage) turn(ctx context.Context, b *bench, rate int) {
	before := p.way.cpu()
	seen := exchange(ctx, asking{addr: p.way.addr}, b.clients, rate, b.duration/4, b.duration)
	p.note(seen, p.way.cpu()-before, b.duration)
}

// note adds the figures of a turn.
func (p *passage) note(seen exchanged, used, measured time.Duration) {
	p.rates = append(p.rates, float64(seen.latency.count())/measured.Seconds())
	p.cpu = append(p.cpu, used/time.Duration(max(seen.all, 1)))
	p.p50 = append(p.p50, seen.latency.quantile(0.5))
	p.p99 = append(p.p99, seen.latency.quantile(0.99))
	if p.failed += seen.failed; seen.why != "" {
		p.why = seen.why
	}
}

// printPassages writes a table. A ratio is that of the first way's figure to this one's in each round: the
// median, and the lowest and the highest of the rounds.
func (b *bench) printPassages(all []*passage, rate int) {
	if len(all) == 0 {
		return
	}
	how := "as fast as they are answered"
	if rate > 0 {
		how = fmt.Sprintf("%d requests/s, latencies from when each was due", rate)
	}
	fmt.Fprintf(b.out, "\nforward: %d B answers to %d clients, %s; medians of %d rounds of %v\n\n",
		answerSize, b.clients, how, b.rounds, b.duration)
	first := all[0]
	direct := slices.IndexFunc(all, func(p *passage) bool { return p.label == wayDirect })
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\trequests/s\t%s is\tp50\tp99\tCPU/request\tbeyond direct\tfailed\t\n", first.label)
	for _, p := range all {
		beyond := "-"
		if direct >= 0 {
			beyond = fmt.Sprint((median(p.cpu) - median(all[direct].cpu)).Round(100 * time.Nanosecond))
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%v\t%v\t%v\t%s\t%d\t\n", p.label, p.rate(), ratios(first.rates, p.rates),
			short(median(p.p50)), short(median(p.p99)), median(p.cpu).Round(100*time.Nanosecond), beyond, p.failed)
	}
	t.Flush()
	sayWhy(b.out, all)
}

func sayWhy(out io.Writer, all []*passage) {
	for _, p := range all {
		if p.why != "" {
			fmt.Fprintf(out, "  %s failed with: %s\n", p.label, p.why)
		}
	}
}

// ratios compares what was measured in the same rounds.
func ratios(ours, theirs []float64) string {
	var all []float64
	for i := range ours {
		all = append(all, ours[i]/max(theirs[i], 1e-9))
	}
	return fmt.Sprintf("%.2f x (%.2f-%.2f)", median(all), slices.Min(all), slices.Max(all))
}
