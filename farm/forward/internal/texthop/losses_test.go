package texthop

import (
	"fmt"
	"testing"
	"time"
)

// Some losses are nobody's fault. More of them, in a short time, count for a while.
func TestLosses_Pardon(t *testing.T) {
	var ls losses
	now := time.Now()
	bad, good := origin{client: "bad", conn: "bad:1"}, origin{client: "good", conn: "good:1"}
	for i := range 100 * lossGrace {
		if many := ls.many("bad", now); many != (i > lossGrace) {
			t.Fatalf("after %d losses: %v", i, many)
		}
		ls.lost(bad, now)
	}
	for range 10 { // as people do
		now = now.Add(2 * lossPardon)
		ls.lost(good, now)
		if ls.many("good", now) {
			t.Error("one who loses a connection now and then is blamed")
		}
	}
	now = now.Add(2 * lossGrace * lossPardon)
	if ls.many("bad", now) {
		t.Error("there is no pardon")
	}
}

// A connection of a client that gives back what its requests had counts for itself, until it does not.
func TestLosses_Connections(t *testing.T) {
	var ls losses
	now := time.Now()
	flood, keeps := origin{"proxy", "proxy:1"}, origin{"proxy", "proxy:2"}
	ls.gaveBack(keeps, now)
	for range 2 * lossGrace {
		ls.lost(flood, now)
	}
	if n := ls.name(keeps, now); n != "proxy" || !ls.many(n, now) {
		t.Errorf("it has given nothing back since, and counts as %s", n)
	}
	ls.gaveBack(keeps, now)
	if n := ls.name(keeps, now); n != "proxy:2" || ls.many(n, now) {
		t.Errorf("it counts as %s", n)
	}
	if n := ls.name(flood, now); n != "proxy" || !ls.many(n, now) {
		t.Errorf("the flood counts as %s", n)
	}
	ls.lost(keeps, now)
	if n := ls.name(keeps, now); n != "proxy" {
		t.Errorf("then it counts as %s", n)
	}
}

// No number of clients fills the memory.
func TestLosses_Room(t *testing.T) {
	var ls losses
	now := time.Now()
	for i := range 3 * maxNamed {
		o := origin{fmt.Sprint("client", i), fmt.Sprint("conn", i)}
		ls.lost(o, now)
		ls.gaveBack(o, now)
	}
	if len(ls.names) > maxNamed || len(ls.kept) > maxNamed {
		t.Errorf("%d clients and %d connections are remembered", len(ls.names), len(ls.kept))
	}
}
