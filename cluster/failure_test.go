package cluster

import (
	"errors"
	"testing"
)

func TestFailureIsTheFirst(t *testing.T) {
	f := newFailure()
	if f.get() != nil {
		t.Error("nothing has failed")
	}
	first := errors.New("first")
	if !f.set(first) || f.set(errors.New("second")) || f.get() != first {
		t.Errorf("the first reason stays: %v", f.get())
	}
	<-f.done
}
