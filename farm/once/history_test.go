package once

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what was seen of leases, for a checker of linearizability: at which moments who was certain to
// have what.
type history struct {
	began time.Time

	mu  sync.Mutex
	ops []porcupine.Operation
}

type leaseOp struct {
	does  opKind
	name  string
	fence uint64
}

type opKind byte

const (
	opGrant  opKind = iota // somebody got it, between the call and the return
	opHolds                // somebody was certain to have it
	opUnlock               // somebody gave it back, having had it until then
)

// leaseState is what the model knows of one name: the greatest fence that anybody had, and whether that was
// given back. That a lease was lost is no operation: nobody need know it. The next one shows it.
type leaseState struct {
	fence uint64
	free  bool
}

// It takes each part of a history for itself: what any operation needs is that no later fence was seen.
var leaseModel = porcupine.Model{
	Init: func() any { return leaseState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, op := state.(leaseState), input.(leaseOp)
		mine := op.fence > s.fence || op.fence == s.fence && !s.free
		switch op.does {
		case opGrant:
			return op.fence > s.fence, leaseState{fence: op.fence}
		case opHolds:
			return mine, leaseState{fence: op.fence}
		default:
			return mine, leaseState{fence: op.fence, free: true}
		}
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

func (h *history) note(does opKind, name string, fence uint64, call, ret time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: int(fence % 1000), Input: leaseOp{does, name, fence},
		Call: int64(call.Sub(h.began)), Return: int64(ret.Sub(h.began))})
}

// holds notes that somebody has a lease now if its context says so, and reports that. It looks at the time
// first.
func (h *history) holds(name string, fence uint64, err func() error) bool {
	at := time.Now()
	if err() != nil {
		return false
	}
	h.note(opHolds, name, fence, at, at)
	return true
}

// check returns what is wrong with a history.
func (h *history) check() (faults []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byName := map[string][]porcupine.Operation{}
	for _, op := range h.ops {
		name := op.Input.(leaseOp).name
		byName[name] = append(byName[name], op)
	}
	for name, ops := range byName {
		slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		for from := 0; ; from += window / 2 { // the checker's work is the square of what it is given
			part := ops[from:min(from+window, len(ops))]
			if porcupine.CheckOperationsTimeout(leaseModel, part, time.Minute) == porcupine.Illegal {
				faults = append(faults, fmt.Sprintf("%s: leases overlap, or fences do not rise, after %v", name,
					time.Duration(part[0].Call)))
			}
			if from+window >= len(ops) {
				break
			}
		}
	}
	return faults
}

const window = 1000

// The checker finds what it is there to find.
func TestHistory(t *testing.T) {
	began := time.Now()
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	type op struct {
		does      opKind
		fence     uint64
		call, ret int
	}
	for name, test := range map[string]struct {
		ops []op
		ok  bool
	}{
		"one after the other": {[]op{{opGrant, 5, 0, 1}, {opHolds, 5, 2, 2}, {opUnlock, 5, 3, 4}, {opGrant, 6, 0, 5}, {opHolds, 6, 6, 6}},
			true},
		"the first is lost":     {[]op{{opGrant, 5, 0, 1}, {opHolds, 5, 2, 2}, {opGrant, 6, 0, 5}, {opHolds, 6, 6, 6}}, true},
		"granted late":          {[]op{{opGrant, 5, 0, 9}, {opHolds, 5, 10, 10}, {opGrant, 4, 0, 8}, {opUnlock, 4, 8, 9}}, true},
		"two at once":           {[]op{{opGrant, 5, 0, 1}, {opGrant, 6, 0, 2}, {opHolds, 6, 3, 3}, {opHolds, 5, 4, 4}}, false},
		"had until the unlock":  {[]op{{opGrant, 5, 0, 1}, {opGrant, 6, 0, 2}, {opHolds, 6, 3, 3}, {opUnlock, 5, 4, 5}}, false},
		"the fence falls":       {[]op{{opGrant, 5, 0, 1}, {opUnlock, 5, 2, 3}, {opGrant, 4, 4, 5}}, false},
		"the fence is the same": {[]op{{opGrant, 5, 0, 1}, {opUnlock, 5, 2, 3}, {opGrant, 5, 4, 5}}, false},
		"after the unlock":      {[]op{{opGrant, 5, 0, 1}, {opUnlock, 5, 2, 3}, {opHolds, 5, 4, 4}}, false},
	} {
		h := history{began: began}
		for _, op := range test.ops {
			h.note(op.does, "x", op.fence, at(op.call), at(op.ret))
		}
		if faults := h.check(); (len(faults) == 0) != test.ok {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
