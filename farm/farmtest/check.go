package farmtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// labelKey is the profiler label of a farm's goroutines, which those that they start inherit.
const labelKey = "farmtest"

// leakPatience is how long goroutines may take to end after Close: memberlist does not wait for probes under way.
const leakPatience = time.Minute

// checkGoroutines fails the test if anything of the farm still runs.
func (f *Farm) checkGoroutines() {
	if left := poll(leakPatience, f.goroutines); left != "" {
		f.t.Errorf("farmtest: goroutines are left after the farm was closed:\n%s", left)
	}
}

// goroutines returns the stacks of the farm's goroutines.
func (f *Farm) goroutines() string {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	mark := fmt.Sprintf("%q:%q", labelKey, f.label)
	var left []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, mark) {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// won matches what raft says when a node has won an election. It says so before the node acts as a leader, and nobody
// knows better; what a node tells about the leader it knows comes later, and may be old.
var won = regexp.MustCompile(`election won: term=(\d+)`)

// anew matches what a node says when it goes on in another cluster, whose terms are others.
var anew = regexp.MustCompile(`re-forms the farm|joins anew`)

// witness is the log handler of one life of a node: it notes the elections that are won.
type witness struct {
	life *life
	next slog.Handler
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }

func (w *witness) Handle(ctx context.Context, r slog.Record) error {
	if m := won.FindStringSubmatch(r.Message); m != nil {
		term, _ := strconv.ParseUint(m[1], 10, 64)
		w.life.node.farm.elected(w.life, term)
	}
	if anew.MatchString(r.Message) {
		w.life.node.farm.beganAnew(w.life)
	}
	if !w.next.Enabled(ctx, r.Level) {
		return nil
	}
	return w.next.Handle(ctx, r)
}

func (w *witness) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &witness{w.life, w.next.WithAttrs(attrs)}
}

func (w *witness) WithGroup(name string) slog.Handler {
	return &witness{w.life, w.next.WithGroup(name)}
}

func (f *Farm) elected(l *life, term uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.elections[l] = append(f.elections[l], term)
}

func (f *Farm) beganAnew(l *life) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.elections[l] = nil
}

// checkTerms fails the test if a term has had two leaders. Farms in memory may have been founded more than once; terms
// belong to one founding.
func (f *Farm) checkTerms() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.elections) == 0 && !f.t.Failed() {
		f.t.Error("farmtest: no election was noticed, so nothing is known about leaders")
	}
	type term struct {
		cluster string
		number  uint64
	}
	leaders := make(map[term]*life)
	for l, terms := range f.elections {
		for _, number := range terms {
			at := term{l.cluster, number}
			if other := leaders[at]; other != nil && other != l {
				f.t.Errorf("farmtest: term %d of cluster %s had two leaders: %s (start %d) and %s (start %d)", number,
					l.cluster, other.node, other.number, l.node, l.number)
			}
			leaders[at] = l
		}
	}
}
