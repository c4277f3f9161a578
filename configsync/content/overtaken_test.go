package content

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestSetOvertaken: a client has seen more than a node has, and says so in one of the ways there are.
func TestSetOvertaken(t *testing.T) {
	r := three(t)
	pins := &Pins{Signer: ring("k")}
	at := func(id string, epoch, turn uint64) *Site {
		return r[0].As(Activation{ID: id, Epoch: epoch, Turn: turn})
	}
	set := &Set{Active: at("r3", 3, 3), Others: []*Site{at("r4", 4, 3)}, Pins: pins}
	coming := &Set{Active: at("r3", 3, 3), Pins: pins, Share: Share{Release: "r4", Percent: 5, Coming: true}}
	pin := func(p *Pins, release string, epoch, turn uint64, left time.Duration) string {
		return p.Encode(Pin{Release: release, Epoch: epoch, Turn: turn, Until: time.Now().Add(left)})
	}
	late := pin(pins, "r4", 4, 3, time.Hour)
	for _, c := range []struct {
		fields, query string
		set           *Set
		want          string // the release that was seen; "" = the node is not behind
	}{
		{"", "", set, ""},
		{"Cookie: a=b; __Host-rel=" + late, "", set, "r4"},
		{`Cookie: __Host-rel="` + late + `"`, "", set, "r4"},
		{"Cookie: a=b|Cookie: __Host-rel=" + late, "", set, "r4"},
		{"Cookie: __Host-rel=x; __Host-rel=" + late, "", set, ""}, // the first one counts
		{"Cookie: rel=" + late, "", set, ""},
		{"X-Release-Pin: " + late, "", set, "r4"},
		{"", "?a=b&rel=" + late, set, "r4"},
		{"", "?rel=" + url.QueryEscape(late[:3]) + "%" + strings.ToUpper(hexOf(late[3])) + late[4:], set, "r4"},
		{"X-Release-Pin: x|Cookie: __Host-rel=" + late, "", set, "r4"},
		{"X-Release-Pin: " + pin(&Pins{Signer: ring("other")}, "r4", 4, 3, time.Hour), "", set, ""},
		{"X-Release-Pin: " + pin(&Pins{Signer: ring("other")}, "r4", 4, 3, time.Hour) + "|Cookie: __Host-rel=" + late, "",
			set, "r4"},
		{"Cookie: __Host-rel=" + pin(pins, "r3", 3, 4, time.Hour), "", set, "r3"},
		{"Cookie: __Host-rel=" + pin(pins, "r3", 3, 3, time.Hour), "", set, ""},
		{"Cookie: __Host-rel=" + pin(pins, "r4", 4, 3, -time.Hour), "", set, ""}, // it is over
		{"Cookie: __Host-rel=" + pin(pins, "r4", 3, 3, time.Hour), "", set, ""},
		{"Cookie: __Host-rel=" + pin(pins, "r4", 3, 3, time.Hour), "", coming, "r4"},
	} {
		q := httptest.NewRequest("GET", "/"+c.query, nil)
		for f := range strings.SplitSeq(c.fields, "|") {
			if name, value, ok := strings.Cut(f, ": "); ok {
				q.Header.Add(name, value)
			}
		}
		if got, so := c.set.Overtaken(q); so != (c.want != "") || so && got != c.want {
			t.Errorf("%s %s: %q, %v, and not %q", c.fields, c.query, got, so, c.want)
		}
		if c.set == coming {
			continue // it can never be lost: the node has heard of it
		}
		c.set.Disown(q)
		if got, so := c.set.Overtaken(q); so {
			t.Errorf("%s %s: overtaken by %s, which is lost", c.fields, c.query, got)
		}
		if got := c.set.For(q); got != "r3" {
			t.Errorf("%s %s: shown %s, which is lost", c.fields, c.query, got)
		}
		pins.lost.all.Store(nil)
	}
}

func hexOf(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// TestSetLost: what was lost counts for what is ahead of the node alone. When the farm has come as far again, a pin of
// the same numbers is one of the farm's own.
func TestSetLost(t *testing.T) {
	r := three(t)
	pins := &Pins{Signer: ring("k")}
	before := &Set{Active: r[0].As(Activation{ID: "r1", Epoch: 1}), Pins: pins}
	q := httptest.NewRequest("GET", "/", nil)
	q.Header.Set("X-Release-Pin", pins.Encode(Pin{Release: "r2", Epoch: 2, Draw: 7, Until: time.Now().Add(time.Hour)}))
	before.Disown(q)
	if pin, ok := before.read(q); !ok || pin != (Pin{Draw: 7}) {
		t.Errorf("%+v, %v: not its draw alone", pin, ok)
	}
	after := &Set{Active: r[1].As(Activation{ID: "r2", Epoch: 2}), Pins: pins}
	if pin, ok := after.read(q); !ok || pin.Release != "r2" {
		t.Errorf("%+v, %v", pin, ok)
	}
	for i := range uint64(3 * maxLost) {
		pins.lost.add(Pin{Epoch: i})
	}
	if n := len(*pins.lost.all.Load()); n > maxLost {
		t.Errorf("%d are kept", n)
	}
}

// BenchmarkSetOvertaken: what each request of a client costs that is pinned to what is in force.
func BenchmarkSetOvertaken(b *testing.B) {
	pins := &Pins{Signer: ring("k")}
	set := &Set{Active: three(b)[0].As(Activation{ID: "r1", Epoch: 1}), Pins: pins}
	q := httptest.NewRequest("GET", "/", nil)
	q.Header.Set("Cookie", "__Host-session=abcdef; __Host-rel="+
		pins.Encode(Pin{Release: "r1", Epoch: 1, Until: time.Now().Add(time.Hour)}))
	b.ReportAllocs()
	for b.Loop() {
		if _, so := set.Overtaken(q); so {
			b.Fatal("overtaken")
		}
	}
}

// TestGlance: what is read of a pin in passing is what is in it, whatever stands behind it in the header.
func TestGlance(t *testing.T) {
	pins := &Pins{Signer: ring("k")}
	numbers := []uint64{0, 1, 63, 1 << 20, 1<<60 - 1, 1 << 60, 1<<64 - 1}
	for _, epoch := range numbers {
		for _, turn := range numbers {
			text := pins.Encode(Pin{Release: "r", Epoch: epoch, Turn: turn, Until: time.Unix(2e9, 0)})
			e, n, ok := glance(text + "; other=1")
			if turned := turn > 0 && epoch < 1<<60; !ok || e != epoch || turned && n != turn {
				t.Errorf("epoch %d, turn %d: %d, %d, %v", epoch, turn, e, n, ok)
			}
		}
	}
	for _, text := range []string{"", "Ag", "AgAA", "Ag!!!!!!!!!!", "AgAAAAAAAAAA", "this is no pin at all"} {
		if e, n, ok := glance(text); ok {
			t.Errorf("%q: %d, %d", text, e, n)
		}
	}
}
