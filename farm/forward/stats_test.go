package forward

import (
	"net/http"
	"testing"
)

func TestStats(t *testing.T) {
	f := newFakeFarm(t)
	hold, begun := make(chan struct{}), make(chan struct{})
	front := f.add("a", Config{Role: "front"}, never(t))
	b := f.add("b", Config{MaxRunning: 7}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			begun <- struct{}{}
			<-hold
		}
	}))
	front.gate.Admit()
	b.gate.Admit()
	front.sees("b")
	get(t, front.public.URL)
	done := make(chan struct{})
	go func() {
		defer close(done)
		get(t, front.public.URL+"/hold")
	}()
	<-begun
	s := front.gate.Stats()
	if len(s.Peers) != 1 || s.Panic {
		t.Fatalf("%+v", s)
	}
	p := s.Peers[0]
	if p.ID != "b" || p.Name != "B" || p.Given != 2 || p.InFlight != 1 || p.Limit != 7 ||
		p.Latency <= 0 || p.Ejected != 0 {
		t.Errorf("%+v", p)
	}
	if s := b.gate.Stats(); s.Running != 1 || s.Limit != 7 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	close(hold)
	<-done
}
