package wire

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Each code stands for one error: what is told on one node is what another one hears.
func TestCodesDiffer(t *testing.T) {
	for c, err := range codes {
		for other, e := range codes {
			if err != nil && e != nil && c != other && (errors.Is(err, e) || err.Error() == e.Error()) {
				t.Errorf("codes %d and %d are both %v", c, other, err)
			}
		}
	}
}

func TestErrorsCrossTheWire(t *testing.T) {
	for i, err := range codes {
		c := Code(i)
		if err == nil {
			continue
		}
		if got := CodeOf(fmt.Errorf("somewhere: %w", err)); got != c {
			t.Errorf("%v travels as code %d, want %d", err, got, c)
		}
		if !errors.Is(c.Err(), err) {
			t.Errorf("code %d arrives as %v, want %v", c, c.Err(), err)
		}
		if got := CodeOf(errors.Join(err, ErrNotLeader)); got != CodeNotLeader {
			t.Errorf("%v from one that does not lead travels as code %d, want %d", err, got, CodeNotLeader)
		}
	}
	exported := []error{fault.ErrUncertain, fault.ErrNoLeader, fault.ErrOverloaded, fault.ErrClosed,
		fault.ErrTooLarge, ErrNameTaken,
		ErrOtherFarm, ErrOtherKind, fault.ErrVersion,
		ErrHeldBack}
	for _, err := range exported {
		if !errors.Is(CodeOf(err).Err(), err) {
			t.Errorf("%v does not survive the way to another node", err)
		}
	}
	if CodeOf(nil) != CodeOK || CodeOK.Err() != nil {
		t.Error("nil does not stay nil")
	}
	if !errors.Is(Code(200).Err(), ErrInternal) {
		t.Error("a code of a newer version must be an internal error")
	}
}
