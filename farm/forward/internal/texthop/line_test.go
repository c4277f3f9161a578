package texthop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// served takes all out of a line, and returns whose turns there were. Those named use up what they get.
func served(l *line, spend string) string {
	var names strings.Builder
	for w := l.first(nil); w != nil; w = l.first(nil) {
		name := w.account.name
		l.serve(w)
		names.WriteString(name)
		if strings.Contains(spend, name) {
			l.lost(name)
		}
	}
	return names.String()
}

// Clients take turns; who uses connections up waits for the others, as long as there are any.
func TestLine_Turns(t *testing.T) {
	for _, c := range []struct{ come, spend, waste, want string }{
		{"aaabbc", "", "", "abcaba"},
		{"aaabbc", "a", "", "abcbaa"},
		{"aaabbbcc", "ab", "", "abccabab"},
		{"aaabbc", "", "a", "bcbaaa"},
		{"", "", "", ""},
	} {
		var l line
		for _, name := range c.come {
			l.add(string(name), origin{}, strings.ContainsRune(c.waste, name))
		}
		if got := served(&l, c.spend); got != c.want {
			t.Errorf("%+v: the turns were %s", c, got)
		}
		if l.waiting != 0 || l.wasteful != 0 || len(l.order) != 0 || len(l.accounts) != 0 {
			t.Errorf("%+v: left behind: %+v", c, l)
		}
	}
}

// A client that comes later has no more turns than the others for that.
func TestLine_Latecomer(t *testing.T) {
	var l line
	for range 200 {
		l.add("a", origin{}, false)
	}
	for range 100 {
		l.serve(l.first(nil))
	}
	for range 3 {
		l.add("b", origin{}, false)
	}
	if got := served(&l, ""); !strings.HasPrefix(got, "abababaaa") && !strings.HasPrefix(got, "bababaaa") {
		t.Errorf("the turns were %.20s", got)
	}
}

// A free connection that was used before goes to nobody who uses connections up, but to who has given it
// back.
func TestLine_Suits(t *testing.T) {
	var l line
	bad := l.add("bad", origin{}, true)
	worse := l.add("worse", origin{}, true)
	if w := l.first(&link{name: "good"}); w != nil {
		t.Errorf("what good has given back goes to %s", w.account.name)
	}
	if w := l.first(&link{name: "worse"}); w != worse {
		t.Errorf("what worse has given back goes to %+v", w)
	}
	if w := l.first(&link{}); w != bad {
		t.Errorf("a new one goes to %+v", w)
	}
	good := l.add("good", origin{}, false)
	for _, name := range []string{"good", "worse", ""} {
		if w := l.first(&link{name: name}); w != good {
			t.Errorf("that of %q goes to %+v", name, w)
		}
	}
}

// Whatever happens in whatever order, a line knows who waits, and one who waits is found.
func TestLine_AnyOrder(t *testing.T) {
	for range 200 {
		var l line
		in := make(map[*waiter]bool)
		for range 100 {
			name := fmt.Sprint(rand.IntN(5))
			switch rand.IntN(5) {
			case 0, 1:
				in[l.add(name, origin{}, rand.IntN(2) == 0)] = true
			case 2:
				if w := l.first(nil); w != nil {
					l.serve(w)
					delete(in, w)
				}
			case 3:
				for w := range in {
					l.remove(w)
					delete(in, w)
					break
				}
			case 4:
				l.lost(name)
			}
			wasteful := 0
			for w := range in {
				if w.waste {
					wasteful++
				}
			}
			if l.waiting != len(in) || l.wasteful != wasteful || (l.first(nil) != nil) != (len(in) > 0) {
				t.Fatalf("%d wait, %d wasteful; the line has %d, %d", len(in), wasteful, l.waiting, l.wasteful)
			}
		}
		for _, w := range l.upTo(l.came) {
			delete(in, w)
		}
		if len(in) > 0 || l.waiting > 0 {
			t.Fatalf("%d are forgotten", len(in))
		}
	}
}

// A connection that does not suit the one whose turn it is goes to the next whom it suits.
func TestLine_FreeConnectionFindsSomebody(t *testing.T) {
	var l line
	l.add("x", origin{}, true)
	l.add("x", origin{}, false)
	z := l.add("z", origin{}, false)
	if w := l.first(&link{name: "y"}); w != z {
		t.Errorf("%+v has it, want z", w)
	}
}
