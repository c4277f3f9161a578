package roster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A log is held to what its server was heard to have applied before it was asked, however much is heard
// before its answer is read.
func TestForgot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := New(6 * time.Second)
		heard := func(index uint64) {
			d.Applied("a.run", "a.1", index)
			time.Sleep(time.Second)
		}
		forgot := func(last uint64, after time.Time) bool {
			return errors.Is(d.Forgot(wire.Hello{Source: "a.1", Last: last}, after), wire.ErrSetBack)
		}
		if forgot(0, time.Now()) {
			t.Error("nothing was heard of it")
		}
		heard(5)
		asked := time.Now()
		heard(9)
		if forgot(5, asked) || forgot(9, time.Now()) {
			t.Error("it has all that it was heard to have when it was asked")
		}
		if !forgot(4, asked) || !forgot(8, time.Now()) {
			t.Error("it lacks what it was heard to have")
		}
		for i := range uint64(100) {
			heard(10 + i)
		}
		if !forgot(108, time.Now()) || d.Reached("a.1") != 109 {
			t.Error("the newest is not known")
		}
		if n := len(d.most["a.1"]); n > 10 {
			t.Errorf("%d heights are kept", n)
		}
	})
}

// Of the runs that have departed the latest are remembered, as many as there is room for.
func TestDepartedIsBounded(t *testing.T) {
	d := newDeparted()
	name := func(i int) string { return fmt.Sprintf("node.%d", i) }
	for i := range departedKept + 10 {
		d.add(name(i))
		d.add(name(i))
	}
	if len(d.runs) != departedKept || len(d.ring) != departedKept {
		t.Errorf("%d runs are kept", len(d.runs))
	}
	for i, want := range map[int]bool{0: false, 9: false, 10: true, departedKept + 9: true} {
		if d.runs[name(i)] != want {
			t.Errorf("run %d: remembered %v, want %v", i, !want, want)
		}
	}
}
