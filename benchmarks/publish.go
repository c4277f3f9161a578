package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

const modePublish = "publish"

// publication is what one system took: a figure for each round.
type publication struct {
	label         string
	first, change []time.Duration // the whole site; a few files
	cpu, less     []time.Duration // of all processes, for the same
}

// publish measures how long a site of many files takes from one machine to three, the first time and when a
// few files have changed: by a farm, which makes it ready everywhere and switches, and by programs that copy
// it to one server after the other. Then it counts what the publishing node sends to farms of several sizes.
func (b *bench) publish(ctx context.Context, procs *processes, dir string) error {
	dir = filepath.Join(dir, modePublish)
	c, copying, err := b.startCopiers(procs, filepath.Join(dir, "servers"))
	if err != nil {
		return err
	}
	defer c.stop(procs)
	kinds, err := b.fleetKinds()
	if err != nil {
		return err
	}
	kinds = slices.DeleteFunc(kinds, func(k fleetKind) bool { return k.system != systemFarm })
	var turns []turn
	for _, k := range kinds {
		f, err := startFleet(procs, k, nodes, true, dir)
		if err != nil {
			return err
		}
		defer f.stop()
		shown := &publication{label: k.label + ", until all show it"}
		done := &publication{label: k.label + ", until it says so"}
		turns = append(turns, turn{farm: f, results: []*publication{shown, done}})
	}
	for _, k := range copying {
		turns = append(turns, turn{copiers: c, copier: k, results: []*publication{{label: k.name}}})
	}
	var bytes int64
	for round := range b.rounds {
		for i := range turns {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := (i + round) % len(turns)
			s := site{dir: filepath.Join(dir, "site"), files: b.files, seed: uint64(round*len(turns)+at) * 2}
			if bytes, err = s.make(); err != nil {
				return err
			}
			if err := turns[at].publish(s); err != nil {
				return err
			}
		}
	}
	b.printPublications(turns, bytes)
	for _, k := range kinds[:min(len(kinds), 1)] {
		return b.copies(ctx, procs, k, dir)
	}
	return nil
}

// turn is one system's: a farm's or a copier's.
type turn struct {
	farm    *fleet
	copiers *copiers
	copier  copier
	results []*publication
	value   int // that the farm shows
}

// publish publishes a site that is new, and again when it has changed.
func (t *turn) publish(s site) error {
	if t.farm == nil {
		if err := t.copiers.empty(t.copier); err != nil {
			return err
		}
	}
	first, cpu, err := t.once(s)
	if err != nil {
		return err
	}
	if err := s.modify(modifiedFiles, s.seed+1); err != nil {
		return err
	}
	change, less, err := t.once(s)
	if err != nil {
		return err
	}
	for i, r := range t.results {
		r.first, r.change = append(r.first, first[i]), append(r.change, change[i])
		r.cpu, r.less = append(r.cpu, cpu), append(r.less, less)
	}
	return nil
}

// once publishes what there is. It returns how long that took, for each of t.results, and the processor time.
func (t *turn) once(s site) (took []time.Duration, cpu time.Duration, err error) {
	if t.farm == nil {
		d, cpu, err := t.copiers.publish(t.copier, s)
		for i := 0; i < nodes && err == nil; i++ {
			err = s.equal(t.copiers.folder(t.copier, i))
		}
		return []time.Duration{d}, cpu, err
	}
	t.value++
	if err := s.setting(t.value); err != nil {
		return nil, 0, err
	}
	before := t.farm.cpu()
	r, err := t.farm.order(nodes, order{Do: orderPublish, Name: s.dir})
	if err != nil {
		return nil, 0, err
	}
	at, err := t.farm.shown(nodes, t.value)
	if err != nil {
		return nil, 0, err
	}
	_, last := apart(at)
	begun, done := time.Unix(0, r.At), time.Unix(0, r.Done)
	return []time.Duration{last.Sub(begun), done.Sub(begun)}, t.farm.cpu() - before, nil
}

// printPublications writes a table. The ratios are the other's time by the first one's, in the same round.
func (b *bench) printPublications(turns []turn, bytes int64) {
	fmt.Fprintf(b.out, "\npublish: %d files of %.1f MB to %d servers; then %d that have changed; medians of %d "+
		"rounds\n\n", b.files, float64(bytes)/1e6, nodes, min(modifiedFiles, b.files), b.rounds)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	var all []*publication
	for _, turn := range turns {
		all = append(all, turn.results...)
	}
	if len(all) == 0 {
		return
	}
	first := all[0]
	fmt.Fprintln(t, "\tfirst\tbest\tof the first line's\tCPU\tchanged\tbest\tof the first line's\tCPU\t")
	for _, p := range all {
		fmt.Fprintf(t, "%s\t%v\t%v\t%s\t%v\t%v\t%v\t%s\t%v\t\n", p.label,
			short(median(p.first)), short(slices.Min(p.first)), ratios(seconds(p.first), seconds(first.first)),
			short(median(p.cpu)),
			short(median(p.change)), short(slices.Min(p.change)), ratios(seconds(p.change), seconds(first.change)),
			short(median(p.less)))
	}
	t.Flush()
}

func seconds(all []time.Duration) (out []float64) {
	for _, d := range all {
		out = append(out, d.Seconds())
	}
	return out
}

// sizes are the numbers of nodes for which it is counted what the publishing node sends.
var sizes = []int{3, 5, 9}

// copies counts what the publishing node writes while nodes make a release ready that it has already, and so
// has on its disk. It is what it sends, and a little for its log and for TLS and HTTP: so the files are
// large.
func (b *bench) copies(ctx context.Context, procs *processes, k fleetKind, dir string) error {
	s := site{dir: filepath.Join(dir, "large"), files: max(b.files/20, 1), seed: 1 << 40, large: true}
	if _, err := s.make(); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\npublish: what the publishing node writes, mostly to others, while nodes make %d "+
		"large files ready\n\n", s.files)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "nodes\tof the release\twritten\tcopies\tall show it after\t")
	for _, n := range b.sizes {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := startFleet(procs, k, n, true, filepath.Join(dir, fmt.Sprint("of", n)))
		if err != nil {
			return err
		}
		err = f.countCopies(t, s, n)
		f.stop()
		if err != nil {
			return err
		}
	}
	return t.Flush()
}

func (f *fleet) countCopies(t *tabwriter.Writer, s site, n int) error {
	if err := s.setting(1); err != nil {
		return err
	}
	staging := f.workers[n].cmd.Process.Pid
	held, err := f.order(n, order{Do: orderPublish, Name: s.dir, Held: true})
	if err != nil {
		return err
	}
	before := written(staging)
	r, err := f.order(n, order{Do: orderActivate, Release: held.Release})
	if err != nil {
		return err
	}
	at, err := f.shown(n, 1)
	if err != nil {
		return err
	}
	wrote := written(staging) - before
	_, last := apart(at)
	_, err = fmt.Fprintf(t, "%d\t%.2f MB\t%.2f MB\t%.2f\t%v\t\n", n, float64(held.Bytes)/1e6, float64(wrote)/1e6,
		float64(wrote)/float64(max(held.Bytes, 1)), short(last.Sub(time.Unix(0, r.At))))
	return err
}
