package cluster

import (
	"errors"
	"sync"
	"testing"
)

func TestDeparture(t *testing.T) {
	var d departure
	if d.now() != (goodbye{}) || d.awaited() != "" {
		t.Errorf("%+v", d.now())
	}
	retire := func(g *goodbye) { g.retires = true }
	if !d.step(retire) || d.step(retire) || !d.now().retires {
		t.Error("what is said twice is news once")
	}
	if d.waitForRelief("1 of 2", true) || !d.waitForRelief("", false) {
		t.Error("whether it waited is forgotten")
	}
	if !d.noteLoss() || d.noteLoss() {
		t.Error("the loss is told once")
	}
	if d.gaveUp() {
		t.Error("it has not waited")
	}
	if d.giveUp(); !d.gaveUp() {
		t.Error("it has waited in vain")
	}
}

// After the end nothing is started any more, and the end waits for what was started before.
func TestWorkers(t *testing.T) {
	var w workers
	var mu sync.Mutex
	held := make(chan struct{})
	done := false
	if !w.start(func() { <-held; mu.Lock(); done = true; mu.Unlock() }) {
		t.Fatal("it is not too late")
	}
	close(held)
	w.end()
	if mu.Lock(); !done {
		t.Error("the end has not waited")
	}
	mu.Unlock()
	if w.start(func() { t.Error("too late") }) {
		t.Error("started after the end")
	}
}

func TestTagsAreReplaced(t *testing.T) {
	of := tags{of: map[string]string{"a": "1"}}
	all := of.all()
	ok := func(map[string]string) error { return nil }
	full := errors.New("full")
	if news, err := of.set("b", "2", ok); !news || err != nil || of.all()["b"] != "2" {
		t.Error(news, err, of.all())
	}
	if news, err := of.set("b", "2", ok); news || err != nil {
		t.Error("what is so already is no news")
	}
	if news, err := of.set("c", "3", func(map[string]string) error { return full }); news || err != full ||
		of.all()["c"] != "" {
		t.Error("what does not fit is set", err)
	}
	if news, _ := of.set("a", "", ok); !news || len(of.all()) != 1 || all["a"] != "1" {
		t.Error("a map that was given out has changed")
	}
}
