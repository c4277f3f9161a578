package cluster

import (
	"slices"
	"strings"
	"testing"
)

// What more than half of all voters have is right, whatever others have. If no more than half have the same,
// no copy is known to be right.
func TestBallot(t *testing.T) {
	for _, c := range []struct {
		voters, has string // one letter for each server; has: the same letters with what they have
		right       uint64
		decided     bool
		differ      bool
		wrong       string
	}{
		{"a", "a1", 1, true, false, ""},
		{"a", "a1 s2", 1, true, true, "s"},      // a stand-by has no say
		{"a", "a1 s2 t2", 1, true, true, "s t"}, // nor have two
		{"ab", "a1 b1", 1, true, false, ""},     //
		{"ab", "a1 b2", 0, false, true, ""},     // one to one
		{"ab", "a1", 0, false, false, ""},       // one has not said
		{"ab", "a1 b2 s2", 0, false, true, ""},  // one to one all the same
		{"abc", "a1 b1 c2", 1, true, true, "c"}, //
		{"abc", "a2 b1 c1", 1, true, true, "a"}, //
		{"abc", "a1 b2", 0, false, true, ""},    // one is silent: what it has decides
		{"abc", "a1 b1", 1, true, false, ""},    //
		{"abc", "a1 b2 c3", 0, false, true, ""}, // all are different
		{"abcd", "a1 b1 c2 d2", 0, false, true, ""},
		{"abcde", "a1 b1 c2", 0, false, true, ""}, // two of five are no quorum
		{"abcde", "a1 b1 c1 d2 e3", 1, true, true, "d e"},
		{"abc", "", 0, false, false, ""},
	} {
		b := ballot{has: map[string]uint64{}, voters: strings.Split(c.voters, "")}
		for _, f := range strings.Fields(c.has) {
			b.has[f[:1]] = uint64(f[1] - '0')
		}
		right, decided := b.right()
		if right != c.right || decided != c.decided || b.differ() != c.differ {
			t.Errorf("%+v: right %d, decided %v, differ %v", c, right, decided, b.differ())
		}
		if wrong := b.having(right, true); decided && !slices.Equal(wrong, strings.Fields(c.wrong)) {
			t.Errorf("%+v: wrong are %v", c, wrong)
		}
	}
}
