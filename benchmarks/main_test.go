package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// TestMain lets the test be its own worker and web server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == workerArg || os.Args[1] == webserverArg) {
		main()
		return
	}
	os.Exit(ci.Main(m))
}

// Webfarm alone, for a second in all.
func TestWebfarmAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := bench{modes: []string{modeDurable, modeMemory}, systems: []string{"webfarm"}, rounds: 1, duration: 250 * time.Millisecond,
		writers: []int{1, 64}, dir: t.TempDir(), plot: t.TempDir() + "/plot.svg", out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if n := strings.Count(out.String(), "webfarm  "); n != 4 {
		t.Errorf("%d figures, want 4", n)
	}
	if svg, err := os.ReadFile(b.plot); err != nil || strings.Count(string(svg), "<rect") != 5 {
		t.Errorf("the plot: %v\n%s", err, svg)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Webfarm's locks alone.
//
// Slow: three processes found a farm, and two are killed and come back.
func TestLocks(t *testing.T) {
	var out bytes.Buffer
	b := bench{modes: []string{modeLocks}, systems: []string{"webfarm"}, rounds: 1, duration: 200 * time.Millisecond,
		kills: 1, held: 20 * time.Millisecond, dir: t.TempDir(), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if n := strings.Count(out.String(), "webfarm  "); n != 7 || strings.Contains(out.String(), "failed with") {
		t.Errorf("%d figures, want 7", n)
	}
}

// Only those count that waited while the one before held the lock.
func TestHanded(t *testing.T) {
	a := report{Spans: []span{{Asked: 0, Locked: 10, Unlocked: 30}, {Asked: 40, Locked: 55, Unlocked: 75}}}
	b := report{Spans: []span{{Asked: 12, Locked: 35, Unlocked: 51}, {Asked: 70, Locked: 80, Unlocked: 90}}}
	if got := handed([]report{a, b}, 20); !slices.Equal(got, []time.Duration{5, 4}) {
		t.Errorf("%v, want the hand-overs from 30 to 35 and from 51 to 55", got)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * 100 * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0: 100 * time.Microsecond, 0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond} {
		if got := h.quantile(q); got < want*97/100 || got > want*103/100 {
			t.Errorf("quantile %v is %v, want %v within 3 %%", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, time.Microsecond, 31 * time.Microsecond, 32 * time.Microsecond, 63 * time.Microsecond,
		64 * time.Microsecond, time.Second, time.Hour} {
		if got := durationOf(bucketOf(d)); got < d*96/100 || got > d*104/100 {
			t.Errorf("%v counts as %v", d, got)
		}
	}
	var sum histogram
	sum.merge(h)
	sum.merge(h)
	if sum.count() != 2000 || sum.quantile(0.5) != h.quantile(0.5) {
		t.Errorf("merged: %d, median %v", sum.count(), sum.quantile(0.5))
	}
}

func TestPause(t *testing.T) {
	at := time.Unix(100, 0)
	acked := func(ms ...int) (w watched) {
		for _, m := range ms {
			w.Acked = append(w.Acked, at.Add(time.Duration(m)*time.Millisecond).UnixNano())
		}
		return w
	}
	for _, c := range []struct {
		w    watched
		want time.Duration
	}{
		{acked(), 0},
		{acked(-900, -10, 0, 10), 10 * time.Millisecond},        // what was before does not count
		{acked(-20, -10, 640, 650), 650 * time.Millisecond},     // from the last one before
		{acked(-10, 10, 610, 620, 700), 600 * time.Millisecond}, // one got through after all
	} {
		if got := c.w.pause(at); got != c.want {
			t.Errorf("%v: %v, want %v", c.w.Acked, got, c.want)
		}
	}
}
