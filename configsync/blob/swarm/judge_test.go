package swarm

import (
	"context"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A peer that fails is left alone for longer each time, until it sends a blob. What is not its fault costs it nothing.
func TestJudge(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := NewFetcher(FetcherConfig{})
		defer f.Close()
		wait := func(err error) time.Duration {
			t.Helper()
			if !f.room("n1", true) {
				t.Fatal("it is not asked at all")
			}
			f.leave("n1", 0, err)
			f.mu.Lock()
			d := max(time.Until(f.peers["n1"].until), 0)
			f.mu.Unlock()
			time.Sleep(d)
			return d
		}
		for _, err := range []error{nil, errBusy, errSpent, errRefused, errMixed, context.Canceled,
			localError{blob.ErrNoRoom}, fmt.Errorf("dial: %w", syscall.EMFILE)} {
			if d := wait(err); d != 0 {
				t.Errorf("%v costs %v", err, d)
			}
		}
		for _, test := range []struct {
			err  error
			want []time.Duration
		}{
			{io.ErrUnexpectedEOF, []time.Duration{firstPause, 2 * firstPause, 4 * firstPause}},
			{errStalled, []time.Duration{firstPause, 2 * firstPause}},
			{errHasNot, []time.Duration{firstPause}},
			{fmt.Errorf("%w: it is another one", blob.ErrCorrupt), []time.Duration{firstBan, 2 * firstBan, 4 * firstBan}},
		} {
			for i, want := range test.want {
				if d := wait(test.err); d != want {
					t.Errorf("%v, for the %d. time, costs %v, want %v", test.err, i+1, d, want)
				}
			}
			wait(nil)
		}
		wait(io.EOF)
		f.judge("n1", nil) // that it answers a question does not make good for it
		if d := wait(io.EOF); d != 2*firstPause {
			t.Errorf("after an answer: %v", d)
		}
		for range 100 {
			wait(io.EOF)
		}
		if d := wait(io.EOF); d != longestPause {
			t.Errorf("at most %v", d)
		}
	})
}

// Blobs that few peers have come first, and those that nobody has are not tried.
func TestRarestFirst(t *testing.T) {
	f := NewFetcher(FetcherConfig{Store: openStore(t, blob.StoreConfig{})})
	defer f.Close()
	var refs []blob.Ref
	for i := range 500 {
		refs = append(refs, blob.Ref{Hash: blob.Sum(fmt.Append(nil, i)), Size: 10})
	}
	j := newJob(f, refs, nil)
	for _, it := range j.lacking.items {
		n := int(it.ref.Hash[0]) % 5
		it.holders = 1<<n - 1 // n peers
		if n == 4 {
			it.wrong = 1 // of which one has something else
		}
	}
	j.arrange()
	lacking := 0
	for _, it := range j.lacking.items {
		if it.holders == 0 {
			lacking++
		}
	}
	if len(j.lacking.order) != 500-lacking || lacking == 0 {
		t.Fatalf("%d of 500 are in order, and nobody has %d", len(j.lacking.order), lacking)
	}
	if !slices.IsSortedFunc(j.lacking.order, func(a, b *item) int {
		return ones(a.holders&^a.wrong) - ones(b.holders&^b.wrong)
	}) {
		t.Error("the rarest are not the first")
	}
	other := newJob(f, refs, nil)
	if slices.EqualFunc(j.lacking.items, other.lacking.items, func(a, b *item) bool { return a.ref == b.ref }) {
		t.Error("two nodes begin with the same blobs")
	}
}
