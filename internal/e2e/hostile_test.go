package e2e

import (
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// Whoever does not know the secret can do nothing but open a connection: not even disturb. The farm is in use all the time.
func TestHostilePeer(t *testing.T) {
	scenario(t)
	f := apart(t, 3, true)
	f.formTogether()
	l := f.load()
	n := f.leader()
	a := &attacker{t: t, addr: n.bind, farm: farmName}
	begin, before := time.Now(), n.usage()

	under := func(what string, attack func()) {
		t.Helper()
		l.mark()
		attack()
		l.goOn()
		l.measured(what)
	}
	under("garbage", func() { a.many(300, a.garbage) })
	under("web requests", func() { a.many(300, a.request) })
	under("half a handshake", func() { a.many(300, a.half) })
	under("no certificate", func() { a.many(100, a.handshake("webfarm-rpc/1")) })
	under("another authority", func() { a.many(100, a.handshake("webfarm-raft/1", a.certificate(a.farm))) })
	under("another farm", func() { a.many(100, a.handshake("webfarm-gossip/1", a.certificate("another"))) })
	under("another protocol", func() { a.many(100, a.handshake("h2", a.certificate(a.farm))) })
	under("floods of packets", func() { a.packets(20_000, randomPacket) })
	under("slow handshakes", func() { f.joinDuring(a, n) })

	f.settleUnderLoad()
	memory := 64 << 20
	if race.Enabled {
		memory *= 8 // the detector has several bytes of its own for each, and gives none back
	}
	f.until("the node closes what it has refused", func() error { return n.usage().within(before, memory, 30) })
	refusals := strings.Count(n.out.String(), `"level":"WARN","msg":"peer connections refused"`)
	if most := 2 + int(time.Since(begin).Minutes()); refusals == 0 || refusals > most {
		t.Errorf("%d warnings of refused connections, not 1 to %d", refusals, most)
	}
	l.finish()
	f.end()
}

// joinDuring has a node start anew, which has to get through to the one that is attacked, while that has more slow handshakes to
// do than it takes at a time.
func (f *farm) joinDuring(a *attacker, attacked *node) {
	f.t.Helper()
	n := f.nodes[0]
	if n == attacked {
		n = f.nodes[1]
	}
	before, most := attacked.usage(), 0
	crawled := make(chan struct{})
	go func() {
		defer close(crawled)
		a.crawl(600)
	}()
	n.kill()
	n.again()
	f.until(n.name+" ready, and the end of the slow handshakes", func() error {
		most = max(most, attacked.usage().files-before.files)
		select {
		case <-crawled:
			return n.ready(f.t.Context())
		default:
			return errors.New("they are under way")
		}
	})
	if most <= 0 || most > 400 {
		f.t.Errorf("%d slow handshakes were open at a time", most)
	}
}

// Gossip is sent again, thousands of times, by somebody who has recorded it; after the node that said it has started again,
// too. It is genuine, and old.
func TestReplayedGossip(t *testing.T) {
	plain(t)
	both(t, func(t *testing.T, durable bool) {
		f := apart(t, 3, durable)
		var r recorder
		f.net.Tap(r.record)
		f.formTogether()
		l := f.load()
		r.replay(f)
		l.goOn()
		f.settleUnderLoad()

		n := f.follower() // says good-bye, and comes back
		n.stop()
		n.again()
		n.awaitReady()
		r.replay(f)
		f.settleUnderLoad()
		n = f.leader() // does not
		l.strike(n.kill)
		n.again()
		n.awaitReady()
		l.mark()
		r.replay(f)
		f.settleUnderLoad()
		l.goOn()
		l.measured("replayed gossip")
		l.finish()
		f.end()
	})
}

// mostRecorded bounds what a recorder keeps: gossip is much of the same, and each packet is sent to each node several
// times.
const mostRecorded = 1000

// recorder keeps packets, the later ones rather than the earlier.
type recorder struct {
	mu      sync.Mutex
	packets [][]byte
}

func (r *recorder) record(_, _ string, packet []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.packets) < mostRecorded {
		r.packets = append(r.packets, slices.Clone(packet))
	} else {
		r.packets[mrand.IntN(len(r.packets))] = slices.Clone(packet)
	}
}

// replay sends all of them to every node, in disorder.
func (r *recorder) replay(f *farm) {
	f.t.Helper()
	r.mu.Lock()
	packets := slices.Clone(r.packets)
	r.mu.Unlock()
	if len(packets) == 0 {
		f.t.Fatal("no gossip was recorded")
	}
	for _, n := range f.nodes {
		a := &attacker{t: f.t, addr: n.bind}
		a.packets(2*len(packets), func() []byte { return packets[mrand.IntN(len(packets))] })
	}
}

// randomPacket returns one of random size and contents.
func randomPacket() []byte {
	b := make([]byte, 1+mrand.IntN(1400))
	rand.Read(b)
	return b
}

// usage is what a process takes of the system.
type usage struct {
	memory int // bytes, resident
	files  int // open, connections included
}

func (n *node) usage() usage {
	n.farm.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(n.pid()))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		n.farm.t.Fatal(err)
	}
	statm, err := os.ReadFile(filepath.Join(proc, "statm"))
	if err != nil {
		n.farm.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		n.farm.t.Fatal(err)
	}
	return usage{pages * os.Getpagesize(), len(fds)}
}

// within reports growth beyond what is given.
func (u usage) within(before usage, memory, files int) error {
	if u.memory > before.memory+memory || u.files > before.files+files {
		return fmt.Errorf("%d MiB and %d files, after %d MiB and %d files", u.memory>>20, u.files, before.memory>>20, before.files)
	}
	return nil
}
