package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// symmetric gives all nodes the same Join list, that of all of them.
func (l *lab) symmetric() {
	var all []string
	for _, n := range l.nodes {
		all = append(all, n.conf.Listen)
	}
	for _, n := range l.nodes {
		n.conf.Join = all
	}
}

func (l *lab) oneFarm(nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes {
		if got, want := n.State().ClusterID, nodes[0].State().ClusterID; got != want || got == "" {
			l.t.Errorf("%s is in farm %q, %s in %q", n.conf.Name, got, nodes[0].conf.Name, want)
		}
	}
}

func TestSymmetricJoinLists(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5} {
		for _, durable := range []bool{false, true} {
			t.Run(fmt.Sprintf("nodes=%d/durable=%v", n, durable), func(t *testing.T) {
				unformed(t, n, durable, func(l *lab) {
					l.symmetric()
					for _, i := range rand.Perm(n) {
						time.Sleep(rand.N(3 * time.Second))
						l.nodes[i].start()
					}
					l.ready(l.nodes...)
					l.oneFarm(l.nodes...)
					l.nodes[n-1].must("append x 1")
				})
			})
		}
	}
}

// Until all founders see each other there is no farm, on either side of a partition; afterwards there is one.
func TestPartitionAtTheFirstStart(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		l.cut(l.nodes[0])
		for _, n := range l.nodes {
			n.start()
		}
		time.Sleep(time.Minute)
		for _, n := range l.nodes {
			if id := n.State().ClusterID; id != "" {
				l.t.Errorf("%s is in farm %s though not all founders saw each other", n.conf.Name, id)
			}
		}
		l.net.Heal()
		l.ready(l.nodes...)
		l.oneFarm(l.nodes...)
	})
}

// The founder alone must not acknowledge anything before a majority of the founders votes; and only the first time.
func TestWritesWaitOnce(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.start()
		}
		for l.nodes[0].State().ClusterID == "" && l.nodes[1].State().ClusterID == "" && l.nodes[2].State().ClusterID == "" {
			time.Sleep(time.Millisecond)
		}
		l.net.Partition([]string{l.nodes[0].ip}, []string{l.nodes[1].ip}, []string{l.nodes[2].ip})
		for _, n := range l.nodes {
			if err := n.propose(20*time.Second, "append x early"); err == nil {
				l.t.Errorf("%s acknowledged a write with no other founder in reach", n.conf.Name)
			}
		}
		l.net.Heal()
		l.ready(l.nodes...)
		l.nodes[0].must("append y 1")
		leader, others := l.leader()
		others[0].stop()
		leader.must("append y 2") // two of three do, now that the farm has formed
		others[0].start()
		l.ready(others[0])
	})
}

func TestFoundersExpectDifferentNumbers(t *testing.T) {
	unformed(t, 3, false, func(l *lab) {
		l.symmetric()
		for i, n := range l.nodes {
			n.conf.Expect = i + 2
			n.start()
		}
		time.Sleep(time.Minute)
		ids := map[string]bool{}
		for _, n := range l.nodes {
			if id := n.State().ClusterID; id != "" {
				ids[id] = true
			}
			n.stop()
		}
		if len(ids) > 1 {
			l.t.Errorf("there are %d farms", len(ids))
		}
	})
}

func TestWipedFirstMachine(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.start()
		}
		l.ready(l.nodes...)
		l.nodes[0].must("append x 1")
		first := l.nodes[0]
		farm := first.State().ClusterID
		first.stop()
		first.conf.Dir = filepath.Join(first.conf.Dir, "new")
		for _, join := range [][]string{first.conf.Join, nil} { // with the list, and as a lone founder would be started
			first.conf.Join = join
			first.start()
			l.ready(first)
			if got := first.State().ClusterID; got != farm || first.get("x") != "1," {
				l.t.Fatalf("join %v: the wiped machine is in farm %s with x = %q, the farm is %s", join, got, first.get("x"), farm)
			}
			first.stop()
			first.conf.Dir = filepath.Join(first.conf.Dir, "newer")
		}
	})
}

// A lonely farm gives up for one that has members; of two lonely ones, one does.
func TestTwoFarmsMeet(t *testing.T) {
	for _, durable := range []bool{false, true} {
		for _, size := range []int{1, 2} {
			t.Run(fmt.Sprintf("durable=%v/other=%d", durable, size), func(t *testing.T) {
				unformed(t, size+1, durable, func(l *lab) {
					lonely, big := l.nodes[size], l.nodes[:size]
					for i, n := range big {
						if i > 0 {
							n.conf.Join = []string{big[0].conf.Listen}
						}
						n.start()
					}
					l.ready(big...)
					big[0].must("append x big")
					lonely.start()
					l.ready(lonely)
					for range 50 { // its log is the longer one
						lonely.must("append x lonely")
					}
					lonely.gossip().list.Join([]string{big[0].conf.Listen})
					time.Sleep(10 * time.Second)
					l.ready(l.nodes...)
					l.oneFarm(l.nodes...)
					if got := lonely.get("x"); size > 1 && got != "big," {
						l.t.Errorf("x = %.40q: the farm with two members had to win", got)
					}
					l.nodes[0].must("append y 1")
					if found, _ := filepath.Glob(filepath.Join(lonely.conf.Dir, "discarded-*", logDir)); durable && size > 1 && len(found) != 1 {
						l.t.Errorf("the data given up is not there: %v", found)
					}
				})
			})
		}
	}
}

// Farms that both have members stay apart, and both say so.
func TestFarmsWithMembersMeet(t *testing.T) {
	unformed(t, 4, false, func(l *lab) {
		var logs [4]lockedBuffer
		for i, n := range l.nodes {
			n.log = slog.New(slog.NewTextHandler(&logs[i], nil))
			if i%2 == 1 {
				n.conf.Join = []string{l.nodes[i-1].conf.Listen}
			}
			n.start()
		}
		l.ready(l.nodes...)
		a, b := l.nodes[0], l.nodes[2]
		a.must("append x a")
		b.must("append x b")
		a.gossip().list.Join([]string{b.conf.Listen})
		time.Sleep(time.Minute)
		if a.get("x") != "a," || b.get("x") != "b," || a.State().ClusterID == b.State().ClusterID {
			l.t.Errorf("farms %s with %q and %s with %q", a.State().ClusterID, a.get("x"), b.State().ClusterID, b.get("x"))
		}
		for i, other := range []*labNode{b, a} {
			if text := logs[2*i].String(); !strings.Contains(text, other.State().ClusterID) {
				l.t.Errorf("%s did not name the other farm:\n%s", l.nodes[2*i].conf.Name, text)
			}
		}
		for _, n := range l.nodes {
			n.stop()
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Every address changes at once; one entry of Join is right.
func TestEveryAddressChanges(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		l.nodes[0].must("append x 1")
		for _, n := range l.nodes {
			n.stop()
		}
		for i, n := range l.nodes {
			n.ip = fmt.Sprintf("10.9.9.%d", i+1)
			n.conf.Listen = n.ip + ":7946"
			n.conf.Join = []string{"10.0.0.2:7946", "10.9.9.1:7946"}
			n.start()
		}
		l.ready(l.nodes...)
		l.nodes[2].must("append x 2")
		if got := l.nodes[2].get("x"); got != "1,2," {
			l.t.Errorf("x = %q", got)
		}
	})
}

// A farm that was formed needs no Join at all: the addresses are in the data directory.
func TestSavedPeers(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		time.Sleep(3 * time.Second)
		for _, n := range l.nodes {
			n.stop()
		}
		for _, n := range l.nodes {
			n.conf.Join = nil
			n.start()
		}
		l.ready(l.nodes...)
		l.oneFarm(l.nodes...)
	})
}

func TestJoinByName(t *testing.T) {
	t.Parallel()
	a := openTest(t, Config{Name: "a"})
	_, port := splitAddr(a.Addr())
	b := openTest(t, Config{Name: "b", Join: []string{fmt.Sprintf("localhost:%d", port), "not a host name:1"}})
	ready(t, a, b)
}

func TestAdvertiseElsewhere(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	n, err := Open(t.Context(), Config{Name: "a", Advertise: "127.0.0.1:1", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ready(t, n)
	waitFor(t, "a warning", func() bool { return strings.Contains(log.String(), "does not lead back to this node") })
}
