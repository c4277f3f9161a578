package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

const modeLocks = "locks"

// contest is one way in which locks are used.
type contest struct {
	title   string
	lockers int    // goroutines
	where   int    // on how many nodes, from a follower on; nodes = on all of them
	lock    string // that all of them want; "" = each one has its own
	results []*result
}

// locks measures locks: without contention, with it, and when a holder is killed.
func (b *bench) locks(ctx context.Context, systems []*system) error {
	for _, c := range []*contest{
		{title: "own lock, from a follower", lockers: 1, where: 1},
		{title: "own lock each, from a follower", lockers: 64, where: 1},
		{title: "own lock each, from all three nodes", lockers: 1000, where: nodes},
		{title: "one lock for all, from all three nodes", lockers: 100, where: nodes, lock: "hot"},
	} {
		for _, s := range systems {
			c.results = append(c.results, &result{label: s.label})
		}
		if err := b.turns(ctx, systems, func(i, round int) error { return b.contend(systems[i], c, i, round) }); err != nil {
			return err
		}
		b.printContest(c)
	}
	if err := b.handOvers(ctx, systems); err != nil {
		return err
	}
	return b.takeOvers(ctx, systems)
}

// turns calls f for each system in each round. Nobody is always the one after the same.
func (b *bench) turns(ctx context.Context, systems []*system, f func(i, round int) error) error {
	for round := range b.rounds {
		for i := range systems {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f((i+round)%len(systems), round); err != nil {
				return err
			}
		}
	}
	return nil
}

// contend is one round of one system.
func (b *bench) contend(s *system, c *contest, i, round int) error {
	leader, err := s.leader()
	if err != nil {
		return err
	}
	var orders [nodes]order
	first := 0
	for k := range nodes {
		orders[k].Do = orderLeads // something that is soon done
	}
	for k := range c.where {
		at := (leader + 1 + k) % nodes
		n := c.lockers / c.where
		if k < c.lockers%c.where {
			n++
		}
		orders[at] = order{Do: orderLock, Writers: n, First: first, Name: c.lock, Warm: b.duration / 4, For: b.duration}
		if b.profiles != "" && s.kind.servers == nil {
			orders[at].Profile = filepath.Join(b.profiles, fmt.Sprintf("%s-locks-%d-%d-%d.pprof", s.label, c.lockers, k, round))
		}
		first += n
	}
	return s.round(orders, c.results[i], b.duration)
}

// handOvers has two followers hand one lock to each other, again and again.
func (b *bench) handOvers(ctx context.Context, systems []*system) error {
	times := make([]histogram, len(systems))
	err := b.turns(ctx, systems, func(i, _ int) error {
		leader, err := systems[i].leader()
		if err != nil {
			return err
		}
		var orders [nodes]order
		for k := range nodes {
			orders[k] = order{Do: orderLock, Writers: 1, Name: "handed", Hold: b.held, For: b.duration + 4*b.held}
		}
		orders[leader] = order{Do: orderLeads}
		reports, err := systems[i].all(orders)
		if err != nil {
			return err
		}
		for _, d := range handed(reports[:], b.held) {
			times[i].add(d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\nlocks: from Unlock at one follower to the end of Lock at another one, which waits; each holds it for %v\n\n",
		b.held)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50\tp99\twebfarm is\tof\t")
	for i, s := range systems {
		h := times[i]
		fmt.Fprintf(t, "%s\t%v\t%v\t%.2f x as fast\t%d\t\n", s.label, short(h.quantile(0.5)), short(h.quantile(0.99)),
			float64(h.quantile(0.5))/float64(max(times[0].quantile(0.5), 1)), h.count())
	}
	return t.Flush()
}

// handed returns how long each hand-over took, of those where the next holder had waited for at least half of the
// time for which the other one held the lock.
func handed(reports []report, hold time.Duration) (out []time.Duration) {
	var all []span
	for _, r := range reports {
		all = append(all, r.Spans...)
	}
	slices.SortFunc(all, func(a, b span) int { return int(a.Locked - b.Locked) })
	for i := 1; i < len(all); i++ {
		if all[i].Asked < all[i-1].Unlocked-int64(hold/2) {
			out = append(out, time.Duration(all[i].Locked-all[i-1].Unlocked))
		}
	}
	return out
}

// takeOvers kills the process that holds a lock for which another one waits.
func (b *bench) takeOvers(ctx context.Context, systems []*system) error {
	times := make([][2][]time.Duration, len(systems))
	for n := range b.kills {
		for i, s := range systems {
			for k := range 2 {
				if err := ctx.Err(); err != nil {
					return err
				}
				d, err := s.takeOver(k == 0, fmt.Sprintf("taken-%d-%d", n, k))
				if err != nil {
					return err
				}
				times[i][k] = append(times[i][k], d)
			}
		}
	}
	for k, which := range []string{"the leader", "a follower"} {
		fmt.Fprintf(b.out, "\nlocks: from kill -9 of a holder at %s to the end of Lock at another node, which waits; %d times\n\n", which,
			b.kills)
		t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "\tmedian\tbest\tworst\twebfarm is\t")
		for i, s := range systems {
			d := times[i][k]
			fmt.Fprintf(t, "%s\t%v\t%v\t%v\t%.2f x as fast\t\n", s.label, short(median(d)), short(slices.Min(d)), short(slices.Max(d)),
				float64(median(d))/float64(median(times[0][k])))
		}
		t.Flush()
	}
	return nil
}

func (s *system) takeOver(leads bool, name string) (time.Duration, error) {
	victim, err := s.leader()
	if err != nil {
		return 0, err
	}
	if !leads {
		victim = (victim + 1) % nodes
	}
	holder, waiter := s.workers[victim], s.workers[(victim+1)%nodes]
	if err := holder.enc.Encode(order{Do: orderTake, Name: name, Hold: -1}); err != nil {
		return 0, err
	}
	if err := holder.ready(); err != nil {
		return 0, err
	}
	if err := waiter.enc.Encode(order{Do: orderTake, Name: name}); err != nil {
		return 0, err
	}
	time.Sleep(watchBefore)
	at := time.Now()
	s.procs.kill(holder.process) // of Webfarm: and the node with it
	r, err := waiter.report()
	if err != nil {
		return 0, fmt.Errorf("%s: the lock was not taken over: %w", s.label, err)
	}
	if err := s.startWorker(victim); err != nil {
		return 0, err
	}
	return time.Duration(r.Spans[0].Locked - at.UnixNano()), s.workers[victim].ready()
}

func (b *bench) printContest(c *contest) {
	fmt.Fprintf(b.out, "\nlocks: lock and unlock, %d goroutines, %s; medians of %d rounds of %v\n\n", c.lockers, c.title, b.rounds,
		b.duration)
	printRates(b.out, "locks/s", c.results)
}
