package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	modeDurable  = "durable"
	modeMemory   = "memory"
	modeFailover = "failover"

	loaded = 9216 // keys of 200 B that every system holds before it is measured: 18 for each of 512 writers
)

// result is what one system did in one workload: a figure for each round.
type result struct {
	label    string
	rates    []float64 // writes per second
	p50, p99 []time.Duration
	cpu      []time.Duration // of all processes of the system, for each write
	failed   int64
	why      string
}

func (r *result) rate() float64 { return median(r.rates) }

func median[T cmp.Ordered](values []T) (m T) {
	if len(values) == 0 {
		return m
	}
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// workload is one number of writers in one mode.
type workload struct {
	mode    string
	writers int
	results []*result // as the systems are
}

// measure lets the systems do the same work one after the other, in several rounds, so that whatever else the machine does
// meets all of them.
func (b *bench) measure(ctx context.Context, mode string, systems []*system) ([]*workload, error) {
	for _, s := range systems {
		if err := s.load(); err != nil {
			return nil, err
		}
	}
	var out []*workload
	for _, writers := range b.writers {
		w := &workload{mode: mode, writers: writers}
		for _, s := range systems {
			w.results = append(w.results, &result{label: s.label})
		}
		for round := range b.rounds {
			for i := range systems {
				at := (i + round) % len(systems) // nobody is always the one after the same
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if err := b.one(systems[at], w.results[at], w, round); err != nil {
					return nil, err
				}
			}
		}
		b.print(w)
		out = append(out, w)
	}
	return out, nil
}

func (s *system) load() error {
	var orders [nodes]order
	for i := range orders {
		orders[i] = order{Do: orderLoad, First: i * loaded / nodes, Keys: loaded / nodes}
	}
	_, err := s.all(orders)
	return err
}

// one round of one system. The writers are spread evenly; a single one is at a follower.
func (b *bench) one(s *system, res *result, w *workload, round int) error {
	leader, err := s.leader()
	if err != nil {
		return err
	}
	var orders [nodes]order
	first := 0
	for i := range nodes {
		at := (leader + 1 + i) % nodes
		n := w.writers / nodes
		if i < w.writers%nodes {
			n++
		}
		orders[at] = order{Do: orderWrite, Writers: n, First: first, Keys: max(loaded/max(w.writers, 512), 1),
			Warm: b.duration / 4, For: b.duration}
		if b.profiles != "" && s.kind.servers == nil {
			role := [nodes]string{"follower1", "follower2", "leader"}[i]
			orders[at].Profile = filepath.Join(b.profiles, fmt.Sprintf("%s-%s-%d-%s-%d.pprof", s.label, w.mode, w.writers, role, round))
		}
		first += n
	}
	return s.round(orders, res, b.duration)
}

// round has the workers do what they are ordered, and adds the figures of it.
func (s *system) round(orders [nodes]order, res *result, duration time.Duration) error {
	before := s.cpu()
	reports, err := s.all(orders)
	if err != nil {
		return err
	}
	used := s.cpu() - before
	var all histogram
	var acked int64
	for _, r := range reports {
		all.merge(r.Latency)
		acked += r.Acked
		if res.failed += r.Failed; r.Why != "" {
			res.why = r.Why
		}
	}
	res.rates = append(res.rates, float64(all.count())/duration.Seconds())
	res.cpu = append(res.cpu, used/time.Duration(max(acked, 1)))
	res.p50 = append(res.p50, all.quantile(0.5))
	res.p99 = append(res.p99, all.quantile(0.99))
	return nil
}
