package order

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// A node that works on an answer of lines sends the zero RolloutLine every few seconds: it is still there.
// SilentAfter is how long one that does so may send nothing before it is taken for gone: a machine that has vanished
// closes no connection.
const SilentAfter = 15 * time.Second

// ErrSilent says that a node has shown nothing for SilentAfter.
var ErrSilent = errors.New("nothing was heard of the node for a while")

const maxLine = 8 << 20 // bytes, for 50 000 files and more

// ReadLines reads an answer of lines up to its result, and closes it. Each line before that goes to each, also one that
// only says that the node is still there. Nodes of older programs do not say that, and may be silent for as long as a
// rollout takes.
//
// Errors: a *ReleaseError is the node's word; others are of the connection, and say nothing of what was asked.
func ReadLines(answer io.ReadCloser, each func(RolloutLine)) (*ReleaseResult, error) {
	defer answer.Close()
	var silent atomic.Bool
	var watch *time.Timer // nil until the node has shown once that it is still there
	defer func() {
		if watch != nil {
			watch.Stop()
		}
	}()
	in := bufio.NewScanner(answer)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		var l RolloutLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("the answer is not understood: %w", err)
		}
		switch {
		case l.Error != nil:
			return nil, l.Error
		case l.Result != nil:
			return l.Result, nil
		}
		switch {
		case watch != nil:
			watch.Reset(SilentAfter)
		case l == RolloutLine{}:
			watch = time.AfterFunc(SilentAfter, func() {
				silent.Store(true)
				answer.Close()
			})
		}
		each(l)
	}
	if silent.Load() {
		return nil, ErrSilent
	}
	return nil, errors.Join(in.Err(), io.ErrUnexpectedEOF)
}

// final are the kinds of errors by which a node says what has become of an order. It says them when it has taken the
// order, and has looked for its key in a log that had all that was acknowledged before.
var final = []string{KindInvalid, KindConflict, KindOverwrite, KindBusy, KindRefused, KindReturned, KindMissing}

// Final reports whether an error of a node that has taken an order says what has become of it, so that to give the
// order again to another one leads to nothing else. Of an order that was given before, and may have been carried out
// then, any other kind says nothing: that node is full, stops, has no leader, or does not even look at who asks.
func (e *ReleaseError) Final() bool { return slices.Contains(final, e.Kind) }
