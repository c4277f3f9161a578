package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

const (
	farmName = "e2e" // of all farms: they have different secrets

	patience = 2 * time.Minute       // for anything that has to happen
	pollTime = 20 * time.Millisecond // between two looks whether it has
	lookTime = 5 * time.Second       // for the answer to one look; a busy machine may need seconds
)

// farm is a number of nodes, each a process.
type farm struct {
	t       *testing.T
	durable bool
	dir     string
	env     []string
	nodes   []*node
	client  *http.Client // for looking at the nodes
	net     *badNet      // between the nodes; nil = they reach each other directly
	standby int          // how many of them have no vote
}

// node is one node in all its lives.
type node struct {
	farm *farm
	name string
	http atomic.Pointer[string] // where it answers; changes when it moves
	peer string                 // where the others reach it
	bind string                 // where it listens for them; "" = peer
	more []string               // flags
	bin  string                 // the program; "" = that of this tree
	tls  bool                   // of a front door
	*process
}

// newFarm returns a farm of n nodes that have not been started.
func newFarm(t *testing.T, n int, durable bool) *farm {
	t.Helper()
	if _, err := shop(); err != nil {
		t.Fatal(err)
	}
	f := &farm{t: t, durable: durable, dir: t.TempDir()}
	secret := make([]byte, 32)
	rand.Read(secret)
	f.env = []string{"FARM_FARM=" + farmName, "FARM_SECRET=" + hex.EncodeToString(secret)}
	f.client = &http.Client{Timeout: lookTime, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range n {
		node := &node{farm: f, name: "n" + strconv.Itoa(i+1)}
		node.move()
		f.nodes = append(f.nodes, node)
	}
	return f
}

// formed returns a farm of three nodes that serve.
func formed(t *testing.T, durable bool) *farm {
	t.Helper()
	f := newFarm(t, 3, durable)
	f.form()
	return f
}

func (f *farm) form() {
	f.t.Helper()
	f.nodes[0].start()
	for _, n := range f.nodes[1:] {
		n.start(f.nodes[0].peer)
	}
	f.settle()
}

// formTogether starts all nodes with the same list, as founders. It takes less time.
func (f *farm) formTogether() {
	f.t.Helper()
	for _, n := range f.nodes {
		n.start(append(n.others(), n.peer)...)
	}
	f.settle()
}

// move gives the node new addresses.
func (n *node) move() {
	addr := freeAddr(n.farm.t)
	n.http.Store(&addr)
	n.peer = freeAddr(n.farm.t)
}

// freeAddr returns an address on loopback that nobody uses, and that nobody else is given.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// start starts the node's process.
func (n *node) start(join ...string) {
	n.farm.t.Helper()
	bin, err := shop()
	if err != nil {
		n.farm.t.Fatal(err)
	}
	n.process = runProgram(n.farm.t, cmp.Or(n.bin, bin), n.name, n.farm.env, n.args(join...)...)
	if n.farm.net != nil {
		n.farm.net.started(n)
	}
}

func (n *node) args(join ...string) []string {
	args := []string{"-node", "-leashed", "-name", n.name, "-http", n.addr(), "-peer", cmp.Or(n.bind, n.peer), "-advertise", n.peer}
	switch {
	case len(join) > 0:
		args = append(args, "-join", strings.Join(join, ","))
	case n.farm.durable: // told that it is alone, it founds a farm at once
		args = append(args, "-expect", "1")
	}
	if n.farm.durable {
		args = append(args, "-dir", n.dir())
	}
	return append(args, n.more...)
}

func (n *node) dir() string { return filepath.Join(n.farm.dir, n.name) }

// again starts the node's process anew, as it is usual: the others are named to it.
func (n *node) again() {
	n.farm.t.Helper()
	n.start(n.others()...)
}

func (n *node) addr() string { return *n.http.Load() }

func (n *node) url() string {
	if n.tls {
		return "https://" + n.addr()
	}
	return "http://" + n.addr()
}

// others returns the peer addresses of the other nodes.
func (n *node) others() (addrs []string) {
	for _, o := range n.farm.nodes {
		if o != n {
			addrs = append(addrs, o.peer)
		}
	}
	return addrs
}

// stopped waits until the process has ended by itself, and well.
func (n *node) stopped() {
	n.farm.t.Helper()
	begin := time.Now()
	select {
	case <-n.ended:
	case <-time.After(patience):
		ci.Latef(n.farm.t, "%s does not stop", n.name)
	}
	if n.err != nil {
		n.farm.t.Errorf("%s stopped with %v", n.name, n.err)
	}
	n.farm.t.Logf("%s stopped in %v", n.name, time.Since(begin).Round(time.Millisecond))
}

// signal sends the process a signal.
func (n *node) signal(send func() error) {
	n.farm.t.Helper()
	if err := send(); err != nil {
		n.farm.t.Fatalf("%s: %v", n.name, err)
	}
}

// stop stops the node in order.
func (n *node) stop() {
	n.farm.t.Helper()
	n.signal(n.terminate)
	n.stopped()
}

// stop stops all nodes, at the same time.
func (f *farm) stop() {
	f.t.Helper()
	for _, n := range f.nodes {
		n.signal(n.terminate)
	}
	for _, n := range f.nodes {
		n.stopped()
	}
}

// end stops all nodes of a durable farm, to see that they still can. Nodes in memory would wait for a relief; that they
// stop is seen elsewhere.
func (f *farm) end() {
	f.t.Helper()
	if f.durable {
		f.stop()
	}
}

// view is a node's answer to /api/farm.
type view struct {
	Leader  string
	Members []member
}

type member struct {
	Name, Status, Role, HTTP string
	Applied                  uint64
}

// member returns the one live member of this name.
func (v view) member(name string) (m member, ok bool) {
	for _, x := range v.Members {
		if x.Name == name && x.Status == "alive" {
			if ok {
				return m, false
			}
			m, ok = x, true
		}
	}
	return m, ok
}

// look asks the node about the farm.
func (n *node) look() (v view, err error) {
	res, err := n.farm.client.Get("http://" + n.addr() + "/api/farm")
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return v, errors.New(res.Status)
	}
	return v, json.NewDecoder(res.Body).Decode(&v)
}

// ready reports why the node should get no visitors.
func (n *node) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr()+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := n.farm.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("%s: %s", res.Status, why)
	}
	return nil
}

// until waits until try returns nil, and fails the test with its last error if that takes too long.
func (f *farm) until(what string, try func() error) {
	f.t.Helper()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ci.Latef(f.t, "%s: waited %v: %v", what, patience, err)
		}
	}
}

// awaitReady waits until the node serves.
func (n *node) awaitReady() {
	n.farm.t.Helper()
	begin := time.Now()
	n.farm.until(n.name+" ready", func() error { return n.ready(n.farm.t.Context()) })
	n.farm.t.Logf("%s is ready after %v", n.name, time.Since(begin).Round(time.Millisecond))
}

// settle waits until all nodes serve and say the same: who leads, that all vote, and what has been applied.
func (f *farm) settle() {
	f.t.Helper()
	begin := time.Now()
	f.until("the farm settles", f.settled)
	f.t.Logf("settled after %v", time.Since(begin).Round(time.Millisecond))
}

// settleUnderLoad waits until all nodes serve, vote, and follow the same leader.
func (f *farm) settleUnderLoad() {
	f.t.Helper()
	begin := time.Now()
	f.until("the farm settles under load", func() error {
		_, err := f.agreed()
		return err
	})
	f.t.Logf("settled under load after %v", time.Since(begin).Round(time.Millisecond))
}

func (f *farm) settled() error {
	applied, err := f.agreed()
	if err == nil && slices.Min(applied) != slices.Max(applied) {
		err = fmt.Errorf("the nodes have applied %d", applied)
	}
	return err
}

// agreed returns what each node has applied, if they all serve, see each other vote, and follow the same leader.
func (f *farm) agreed() (applied []uint64, err error) {
	var leader string
	for _, n := range f.nodes {
		if !n.running() {
			f.t.Fatalf("%s has ended: %v", n.name, n.err)
		}
		if err := n.ready(f.t.Context()); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		v, err := n.look()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		standby := 0
		for _, o := range f.nodes {
			m, ok := v.member(o.name)
			if m.Role == "nonvoter" && f.standby > 0 {
				standby++
			} else if ok = ok && m.Role == "voter"; !ok || m.HTTP != o.addr() {
				return nil, fmt.Errorf("%s sees %+v", n.name, v)
			}
		}
		if standby != f.standby {
			return nil, fmt.Errorf("%s sees %d without a vote: %+v", n.name, standby, v)
		}
		if leader = cmp.Or(leader, v.Leader); v.Leader == "" || v.Leader != leader {
			return nil, fmt.Errorf("%s is led by %q, others by %q", n.name, v.Leader, leader)
		}
		self, _ := v.member(n.name)
		applied = append(applied, self.Applied)
	}
	return applied, nil
}

// leader returns the node that leads, of a farm whose nodes all run.
func (f *farm) leader() (leader *node) {
	f.t.Helper()
	f.until("a leader", func() error {
		v, err := f.nodes[0].look()
		if err != nil {
			return err
		}
		for _, n := range f.nodes {
			if n.name == v.Leader {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("%+v", v)
	})
	return leader
}

// follower returns a node that does not lead.
func (f *farm) follower() *node {
	f.t.Helper()
	if leader := f.leader(); leader != f.nodes[0] {
		return f.nodes[0]
	}
	return f.nodes[1]
}
