package session

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestGoneCacheForgets(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var g goneCache
		key, from := StoreKey{1}, origin{NewMachine(), "c"}
		g.add(key, from)
		time.Sleep(9 * time.Second)
		if !g.has(key, from) || g.has(StoreKey{2}, from) {
			t.Error("not remembered")
		}
		time.Sleep(22 * time.Second)
		if g.has(key, from) {
			t.Error("not forgotten")
		}
		for i := range maxGone + 10 {
			g.add(StoreKey{2, byte(i), byte(i >> 8), byte(i >> 16)}, from)
		}
		if len(g.now) > maxGone {
			t.Errorf("%d remembered", len(g.now))
		}
	})
}

func TestHistory(t *testing.T) {
	h := history{span: time.Minute}
	t0 := time.Now()
	if !h.recent(1) {
		t.Error("with no history, anything may be recent")
	}
	for i := range 20 {
		h.note(uint64(i*10), t0.Add(time.Duration(i)*10*time.Second))
	}
	if h.recent(120) || !h.recent(140) || len(h.marks) > 8 {
		t.Errorf("marks %v", h.marks)
	}
}
