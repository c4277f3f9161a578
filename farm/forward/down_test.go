package forward

import (
	"net/http"
	"testing"
)

// A peer with which there is no connection is found out without a request, gets none while there is another
// one, and comes back without one. Where there is no other, it is tried.
func TestDown(t *testing.T) {
	wires := &wires{}
	f := newFakeFarm(t)
	f.Wire = wires.add
	front := f.add("front", Config{Role: "front"}, never(t))
	a, b := f.add("a", Config{}, text("a")), f.add("b", Config{}, text("b"))
	for _, n := range []*fakeNode{front, a, b} {
		n.gate.Admit()
	}
	front.sees("a", "b")
	down := func() (ids string) {
		for _, p := range front.gate.Stats().Peers {
			if p.Down {
				ids += p.ID
			}
		}
		return ids
	}
	for got := ""; len(got) < 2; {
		if _, body := get(t, front.public.URL); len(got) == 0 || got != body {
			got += body
		}
	}
	if got := down(); got != "" {
		t.Errorf("down: %q", got)
	}
	f.Change(func() { a.Unreachable = true })
	wires.kill("a")
	eventually(t, func() bool { return down() == "a" })
	before := front.gate.Stats()
	for range 20 {
		if _, body := get(t, front.public.URL); body != "b" {
			t.Errorf("answered by %q", body)
		}
	}
	for i, p := range front.gate.Stats().Peers {
		if p.ID == "a" && p.Given != before.Peers[i].Given {
			t.Errorf("the peer that is down was given %d requests", p.Given-before.Peers[i].Given)
		}
	}
	f.Change(func() { a.Unreachable = false })
	eventually(t, func() bool { return down() == "" })

	f.Change(func() { a.Unreachable, b.Unreachable = true, true })
	wires.kill("a")
	wires.kill("b")
	eventually(t, func() bool { return len(down()) == 2 })
	if res, _ := get(t, front.public.URL); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("nobody is there: %s", res.Status)
	}
	f.Change(func() { b.Unreachable = false })
	eventually(t, func() bool { res, body := get(t, front.public.URL); return res.StatusCode == 200 && body == "b" })
}
