package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"
)

const spareFiles = 600 // of a process beside two for each stream

// held is what the streams of one way cost.
type held struct {
	name         string
	edge, origin int64 // bytes for each
	took         time.Duration
	cpu          time.Duration // to open one, all processes
	failed       int
	why          error
}

// streams opens many streams of server-sent events by each way, and leaves them idle. Each way starts afresh:
// what has been given back by a process is not always given back to the system.
func (b *bench) streams(ctx context.Context, procs *processes, dir string) error {
	idle, files := b.idle, allowFiles(mostFiles)
	if most := (files - spareFiles) / 2; idle > most {
		fmt.Fprintf(b.out, "a process may have %d open files here: %d streams instead of %d\n", files, most, idle)
		idle = most
	}
	var all []held
	for i, name := range b.ways {
		if name == wayDraining {
			continue // its streams are told to go
		}
		w, err := b.startWays(procs, filepath.Join(dir, fmt.Sprint(modeStreams, i)), []string{name})
		if err != nil {
			return err
		}
		for _, x := range w.all {
			all = append(all, b.hold(ctx, x, idle))
		}
		w.stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "\nstreams: %d idle streams of server-sent events\n\n", idle)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tmemory/stream\tof which the application's\topened in\tCPU to open one\tfailed\t")
	for _, h := range all {
		fmt.Fprintf(t, "%s\t%.1f KiB\t%.1f KiB\t%v\t%v\t%d\t\n",
			h.name, float64(h.edge+h.origin)/1024, float64(h.origin)/1024,
			short(h.took), h.cpu.Round(time.Microsecond), h.failed)
	}
	t.Flush()
	for _, h := range all {
		if h.why != nil {
			fmt.Fprintf(b.out, "  %s failed with: %v\n", h.name, h.why)
		}
	}
	return nil
}

// hold opens n streams and measures.
func (b *bench) hold(ctx context.Context, x *way, n int) (h held) {
	exchange(ctx, asking{addr: x.addr}, b.clients, 0, 0, b.duration) // what a process needs anyway
	rest(ctx, b.settle)
	edge, origin, cpu, begin := memory(x.edge), memory(x.origin), x.cpu(), time.Now()
	var mu sync.Mutex
	var open []stream
	places := make(chan struct{}, b.clients)
	var wg sync.WaitGroup
	for range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			s, err := openStream(x.addr)
			if ctx.Err() != nil {
				err = errors.Join(err, ctx.Err())
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.failed, h.why = h.failed+1, err
				return
			}
			open = append(open, s)
		})
	}
	wg.Wait()
	h.took = time.Since(begin)
	rest(ctx, b.settle)
	each := int64(max(len(open), 1))
	h.name, h.edge, h.origin = x.name, (memory(x.edge)-edge)/each, (memory(x.origin)-origin)/each
	h.cpu = (x.cpu() - cpu) / time.Duration(each)
	for _, s := range open {
		s.conn.Close()
	}
	return h
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
