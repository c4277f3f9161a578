package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"time"
)

// chart draws a group of bars for each workload, on a logarithmic scale.
type chart struct {
	title  string
	groups []group
}

type group struct {
	name string
	bars []bar
}

type bar struct {
	label string
	value float64
	text  string
}

const (
	plotWidth   = 760
	barHeight   = 18
	labelWidth  = 90
	valueWidth  = 110
	groupMargin = 30
)

var colours = []string{"#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#8d99ae"}

// throughput is the chart of all workloads.
func throughput(ws []*workload) chart {
	c := chart{title: "durable and in-memory writes of 200 B per second, three nodes (logarithmic)"}
	for _, w := range ws {
		g := group{name: fmt.Sprintf("%s, %d writers", w.mode, w.writers)}
		for _, r := range w.results {
			g.bars = append(g.bars, bar{r.label, r.rate(), fmt.Sprintf("%.0f/s, p99 %v", r.rate(), short(median(r.p99)))})
		}
		c.groups = append(c.groups, g)
	}
	return c
}

// pauses is the chart of the failovers.
func pauses(all []*crashes) chart {
	c := chart{title: "pause in writes after kill -9 of the leader, median"}
	g := group{name: "through the survivors"}
	for _, x := range all {
		if x.leader {
			m := median(x.pauses)
			g.bars = append(g.bars, bar{x.label, float64(m) / float64(time.Millisecond), short(m).String()})
		}
	}
	c.groups = append(c.groups, g)
	return c
}

func (c chart) height() int {
	h := 40
	for _, g := range c.groups {
		h += groupMargin + len(g.bars)*barHeight
	}
	return h + 10
}

// span returns the powers of ten around all values.
func (c chart) span() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, g := range c.groups {
		for _, b := range g.bars {
			v := math.Log10(max(b.value, 1))
			low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
		}
	}
	return low, max(high, low+1)
}

// draw writes the charts one below the other as one SVG.
func draw(w io.Writer, charts []chart) error {
	total := 0
	for _, c := range charts {
		total += c.height()
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, total)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	y := 0
	for _, c := range charts {
		c.draw(w, y)
		y += c.height()
	}
	_, err := fmt.Fprintln(w, "</svg>")
	return err
}

func (c chart) draw(w io.Writer, top int) {
	text := func(x, y int, style, s string) {
		fmt.Fprintf(w, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, style, html.EscapeString(s))
	}
	text(10, top+24, `font-size="15" font-weight="bold"`, c.title)
	low, high := c.span()
	y := top + 40
	for _, g := range c.groups {
		text(10, y+14, `font-weight="bold"`, g.name)
		y += groupMargin - 8
		for i, b := range g.bars {
			width := (math.Log10(max(b.value, 1)) - low) / (high - low) * (plotWidth - labelWidth - valueWidth - 60)
			text(labelWidth, y+13, `text-anchor="end"`, b.label)
			fmt.Fprintf(w, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
				labelWidth+8, y+2, max(width, 1), barHeight-4, colours[i%len(colours)])
			text(labelWidth+14+int(max(width, 1)), y+13, "", b.text)
			y += barHeight
		}
		y += 8
	}
}
