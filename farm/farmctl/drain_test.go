package farmctl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/rolling"
)

// Orders reach the program of the node that they are for, by way of another one, and its refusals come back.
func TestDrainAndRestart(t *testing.T) {
	clean(t)
	n1 := open(t, cluster.Config{Name: "n1"}) // takes no orders
	var n2 *cluster.Node
	obey := func(_ context.Context, word string) error {
		switch word {
		case order.Drain:
			return n2.SetTag(order.Gate, order.Drained)
		case order.Undrain:
			return n2.SetTag(order.Gate, order.Ready)
		}
		return errors.New("not today")
	}
	n2 = open(t, cluster.Config{Name: "n2", Join: []string{n1.Addr()}, Program: cluster.Program{Order: obey}})
	want(t, codeRefused, "n1 takes no orders", "drain", "n1")
	want(t, codeRefused, "no such member", "drain", "n9")
	want(t, codeDone, "n2 drains", "drain", "n2", "-wait", "0")
	want(t, codeDone, "n2 has drained. It forwards what comes; farmctl drain -cancel n2 has it serve again",
		"drain", "n2")
	want(t, codeDone, "n2 serves again", "drain", "n2", "-cancel")
	got := want(t, codeDone, "", "drain", "n2", "-json")
	var said drained
	if err := json.Unmarshal([]byte(got.out), &said); err != nil || said != (drained{"n2", n2.State().Self,
		"drained"}) {
		t.Errorf("%q: %+v, %v", got.out, said, err)
	}

	want(t, codeUsage, "either the name of a node, or -rolling", "restart")
	want(t, codeUsage, "either the name of a node, or -rolling", "restart", "n1", "-rolling")
	want(t, codeUsage, "-wait", "restart", "n1", "-wait", "0")
	wantSoon(t, codeRefused, "n1 was not restarted", "restart", "n1") // n2 has drained
	want(t, codeDone, "n2 serves again", "drain", "n2", "-cancel")
	if err := n1.SetTag(order.Gate, order.Ready); err != nil {
		t.Fatal(err)
	}
	wantSoon(t, codeRefused, "n2 was to be restarted: n2: not today", "restart", "n2")
	for _, wait := range []string{"4s", "20s"} { // it says so after three seconds, and a busy machine misses the fourth
		got = wantSoon(t, codeFailed, "it has not come back; look at its log", "restart", "n2", "-command", "exit 0",
			"-wait", wait)
		if strings.Contains(got.out, "n2: waits until it begins to stop\n") {
			break
		}
		if wait == "20s" {
			t.Errorf("no word of what it waits for: %q", got.out)
		}
	}
	wantSoon(t, codeFailed, "n2 was to be restarted: exit status 7", "restart", "n2", "-command", "exit 7")
	wantSoon(t, codeFailed, "secret of n2 at "+n2.Addr(), "restart", "n2", "-command",
		"echo secret $FARM_SECRET of $FARM_NODE at $FARM_NODE_ADDR >&2; exit 1")
	got = wantSoon(t, codeRefused, `{"restarted":[],"left":["n`, "restart", "-rolling", "-json")
	if got.err == "" {
		t.Error("no word of why")
	}
}

// Somebody who waits for a restart is told what for, when that takes longer than usual, and again when it
// changes; not what is over at once.
func TestRestartSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	before := admin.Member{ID: "2", Name: "n2", Status: admin.Alive, Started: time.Unix(1000, 0),
		Tags: map[string]string{order.Gate: order.Ready}}
	now := before
	farmWith := func(m admin.Member) admin.Farm { return admin.Farm{Members: []admin.Member{m}, Quorum: true} }
	var said []string
	told := patience{say: func(what string) { said = append(said, what) }}
	clock := time.Unix(2000, 0)
	after := func(d time.Duration, byItself bool) {
		clock = clock.Add(d)
		f := farmWith(now)
		told.of(waitsFor(f, before, rolling.Back(f, before, 0), byItself), clock)
	}
	after(0, true)
	after(time.Second, true)
	now.Tags = map[string]string{order.Gate: order.Draining}
	after(time.Second, true)
	after(4*time.Second, true)
	now.Status = "stopped"
	after(time.Second, true)
	for range 40 {
		after(time.Second, true)
	}
	after(0, false)
	after(3*time.Second, false)
	now.Status, now.Started, now.Tags = admin.Alive, time.Unix(2047, 0), nil
	after(time.Second, true)
	after(3*time.Second, true)
	want := []string{"drains", "has ended; waits until its supervisor starts it again, which nothing but one does",
		"has ended; waits until its supervisor starts it again, which nothing but one does, for 33s by now",
		"has ended; waits until it runs again", "waits: n2 is not ready"}
	if !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
}
