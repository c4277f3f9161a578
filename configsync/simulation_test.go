package configsync_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// TestSimulation has four nodes publish, try out, go back, and show canaries, while they refuse, are unwell, lack
// content, are cut off, deaf, stopped and put back to old snapshots, and while who leads changes. No node ever
// shows what was not activated, nor configuration of one release with content of another; what a node shows rises,
// as does the epoch; equal logs are equal bytes; every hook that has run is committed or aborted, once; and all
// agree in the end. `make sim SEED=7 MINUTES=600 PKG=./configsync` runs one seed for as long.
func TestSimulation(t *testing.T) {
	seeds, length := []uint64{1, 2}, time.Hour
	if race.Enabled {
		seeds, length = seeds[:1], 30*time.Minute
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("WEBFARM_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if m := os.Getenv("WEBFARM_MINUTES"); m != "" {
		minutes, err := strconv.Atoi(m)
		if err != nil {
			t.Fatal(err)
		}
		length, seeds = time.Duration(minutes)*time.Minute, []uint64{cmp.Or(seed, rand.Uint64())}
	} else if seed != 0 {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { newSimulation(t, seed).run(length) })
			if t.Failed() {
				t.Logf("repeat with: make sim SEED=%d MINUTES=%d PKG=./configsync", seed, int(length.Minutes()))
			}
		})
	}
}

// simulation is the one who does things to the farm, and what came of them.
type simulation struct {
	*lab
	journal *journal
	disks   map[*labNode]disk // what nodes start from
	wg      sync.WaitGroup
	ctx     context.Context

	tally     sync.Mutex // guards what follows
	rng       *rand.Rand
	sick      string // the node that is not well after any switch
	calm      bool   // nothing fails any more
	manifests map[blob.Hash]*content.Manifest
	shows     map[uint64]string          // by release: the banner that it has
	activated map[string]map[uint64]bool // by node, with "" for all: the releases that were ever in force
	sums      map[int]uint64             // by index: of the state
	ends      map[string]int             // how writes ended
	seen      int                        // looks at what nodes show
}

// disk is what a node has on its disk.
type disk struct {
	snapshot []byte
	applied  int
}

// saved returns what a node could start from.
func (s *simulation) saved(n *labNode) disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	n.machine.Snapshot().WriteTo(&b)
	return disk{b.Bytes(), n.applied}
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{disks: map[*labNode]disk{}, journal: &journal{}, rng: rand.New(rand.NewPCG(seed, 0)), manifests: map[blob.Hash]*content.Manifest{},
		shows: map[uint64]string{0: "Welcome"}, activated: map[string]map[uint64]bool{"": {0: true}},
		sums: map[int]uint64{}, ends: map[string]int{}}
	s.lab = newLab(t, 0, nil)
	s.lab.watch = s.applied
	for i := range 4 {
		n := &labNode{lab: s.lab, name: fmt.Sprint("n", i+1), settings: s.settings}
		s.nodes = append(s.nodes, n)
		n.start()
	}
	return s
}

// chance reports true in one of so many cases, unless it is calm.
func (s *simulation) chance(in int) bool {
	s.tally.Lock()
	defer s.tally.Unlock()
	return !s.calm && s.rng.IntN(in) == 0
}

// upTo returns a random time.
func (s *simulation) upTo(d time.Duration) time.Duration {
	s.tally.Lock()
	defer s.tally.Unlock()
	return time.Duration(s.rng.Int64N(int64(d)))
}

func (s *simulation) pick(n int) int {
	s.tally.Lock()
	defer s.tally.Unlock()
	return s.rng.IntN(n)
}

func (s *simulation) settings(set *configsync.Settings) {
	set.Content = simContents{s}
	set.Prepare = []configsync.Hook{s.journal.hook(set.Node, func(context.Context, *Site) error {
		if s.chance(2) {
			time.Sleep(s.upTo(2 * time.Second))
		}
		switch {
		case s.chance(30):
			return errors.New("no port")
		case s.chance(60):
			time.Sleep(15 * time.Second)
		case s.chance(60):
			panic("oops")
		}
		return nil
	})}
	set.SelfCheck = func(context.Context) error {
		time.Sleep(s.upTo(time.Second))
		s.tally.Lock()
		sick := s.sick == set.Node && !s.calm
		s.tally.Unlock()
		if sick || s.chance(8) {
			return errors.New("500")
		}
		return nil
	}
}

// simContents is a node's content, all of which is there, or comes.
type simContents struct{ s *simulation }

func (c simContents) Fetch(ctx context.Context, k configsync.Content, progress func(have, size uint64)) (
	*content.Manifest, error) {
	select {
	case <-time.After(c.s.upTo(5 * time.Second)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	progress(k.Size, k.Size)
	if c.s.chance(40) {
		return nil, errors.New("nobody has it")
	}
	c.s.tally.Lock()
	defer c.s.tally.Unlock()
	return c.s.manifests[k.Root], nil
}

func (c simContents) Keep(_, _ []blob.Hash) {}

func (c simContents) Open(blob.Hash) (blob.File, int64, error) { return nil, 0, errors.ErrUnsupported }

// contentOf returns content that says a banner.
func (s *simulation) contentOf(banner string) *configsync.Content {
	m, err := content.New([]content.File{{Path: "public/banner", Hash: blob.Sum([]byte(banner)),
		Size: int64(len(banner)), Type: "text/plain"}}, nil, content.Limits{})
	if err != nil {
		s.t.Error(err)
		return nil
	}
	s.tally.Lock()
	defer s.tally.Unlock()
	s.manifests[m.Root()] = m
	return &configsync.Content{Root: m.Root(), Source: m.Source(), Size: uint64(m.Bytes()), Files: 1}
}

// applied looks at a state that a node has applied. The lab is locked.
func (s *simulation) applied(n *labNode) {
	s.tally.Lock()
	defer s.tally.Unlock()
	h := fnv.New64a()
	n.machine.Snapshot().WriteTo(h)
	if was, ok := s.sums[n.applied]; ok && was != h.Sum64() {
		s.t.Errorf("%s has another state at %d than others", n.name, n.applied)
	}
	s.sums[n.applied] = h.Sum64()
	st := n.machine.State()
	for _, r := range st.Releases() {
		s.shows[r.ID] = "Welcome"
		for _, f := range st.Files(r.Revision) {
			s.shows[r.ID] = strings.TrimSpace(strings.TrimPrefix(f.Text, "banner: "))
		}
	}
	s.activated[""][st.Current().Release] = true
	for _, node := range st.Canary().Nodes {
		if s.activated[node] == nil {
			s.activated[node] = map[uint64]bool{}
		}
		s.activated[node][st.Canary().Release] = true
	}
	if id, _ := st.Frozen(); id != 0 && s.sums[-1] < id {
		s.sums[-1], s.ends["frozen"] = id, s.ends["frozen"]+1
	}
	if r := st.Newest(); r.Plan.Strict > 0 && r.Epoch > 0 && s.sums[-2] < r.ID {
		s.sums[-2], s.ends["switched when held"] = r.ID, s.ends["switched when held"]+1
	}
	running := 0
	for _, r := range st.Rollouts() {
		if r.Phase < configsync.PhaseDone {
			running++
		}
	}
	if running > 1 {
		s.t.Errorf("%d rollouts at once", running)
	}
}

// observe looks again and again at what a node shows, until it stops or is given another machine.
func (s *simulation) observe(n *labNode) {
	last, of := configsync.View{}, (*configsync.Machine)(nil)
	for s.ctx.Err() == nil {
		time.Sleep(s.upTo(time.Second))
		s.mu.Lock()
		m, machine := n.manager, n.machine
		s.mu.Unlock()
		if m == nil {
			continue
		}
		if s.chance(3) { // a request, for which Strict rollouts wait
			s.wg.Go(func() { n.serve(s.ctx, func() { time.Sleep(s.upTo(2 * time.Second)) }) })
		}
		ctx := m.Context(context.Background())
		v, banner, usable := m.View(ctx), site.Get(ctx).Banner, m.Usable() == nil
		if machine != of || v.Release.ID == 0 {
			last, of = v, machine
		}
		if v.Epoch < last.Epoch {
			s.t.Errorf("%s shows epoch %d after %d", n.name, v.Epoch, last.Epoch)
		}
		last = v
		s.judge(n, v, banner)
		if usable && !s.inForce(n, machine, m) {
			s.t.Errorf("%s is usable and does not show what is in force", n.name)
		}
	}
}

// inForce reports whether a node shows what is in force, as far as it knows; true if that has just changed.
func (s *simulation) inForce(n *labNode, machine *configsync.Machine, m *configsync.Manager) bool {
	st := machine.State()
	r, _ := st.For(n.name)
	usable := m.Usable() == nil
	v := m.View(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	return !usable || v.Release.ID == r.ID || machine.State() != st || n.machine != machine
}

// judge checks what a node shows.
func (s *simulation) judge(n *labNode, v configsync.View, banner string) {
	s.tally.Lock()
	defer s.tally.Unlock()
	s.seen++
	if !s.activated[""][v.Release.ID] && !s.activated[n.name][v.Release.ID] {
		s.t.Errorf("%s shows release %d, which was never activated", n.name, v.Release.ID)
	}
	if want := s.shows[v.Release.ID]; banner != want {
		s.t.Errorf("%s shows %q in release %d, which has %q", n.name, banner, v.Release.ID, want)
	}
	root := blob.Hash{}
	if v.Manifest != nil {
		root = v.Manifest.Root()
	}
	if root != v.Release.Content.Root {
		s.t.Errorf("%s shows the configuration of release %d with the content of another", n.name, v.Release.ID)
	}
}

func (s *simulation) run(length time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	for _, n := range s.nodes {
		s.wg.Go(func() { s.observe(n) })
	}
	for i, end := 0, time.Now().Add(length); time.Now().Before(end); i++ {
		time.Sleep(s.upTo(20 * time.Second))
		if s.chance(2) {
			s.wg.Go(func() { s.write(i) })
		} else {
			s.disturb()
		}
	}
	s.settle()
	cancel()
	s.wg.Wait()
	s.t.Logf("%d commands, %d looks; writes: %v", len(s.log), s.seen, s.ends)
	if s.ends["done"] == 0 || s.ends["refused"] == 0 || s.ends["returned"] == 0 {
		s.t.Error("that is no simulation of anything")
	}
}

// anybody returns the manager of a node that runs.
func (s *simulation) anybody() (*labNode, *configsync.Manager) {
	n := s.nodes[s.pick(len(s.nodes))]
	s.mu.Lock()
	defer s.mu.Unlock()
	return n, n.manager
}

// write does something that an operator could do.
func (s *simulation) write(i int) {
	_, m := s.anybody()
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	banner := fmt.Sprint("v", i)
	p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: " + banner + "\n"},
		Content: s.contentOf(banner), Hold: s.chance(5), Plan: s.plan()}
	switch s.pick(3) {
	case 0:
		p.Config = nil
	case 1:
		p.Content = nil
	}
	p.Epoch, p.Key = m.Status().Epoch, banner
	w := p.Write
	rs := m.Releases()
	var err error
	switch s.pick(8) {
	case 0:
		_, err = m.Rollback(ctx, w, max(1, w.Epoch-min(w.Epoch, 1+uint64(s.pick(3)))))
	case 1:
		if len(rs) > 0 {
			_, err = m.Activate(ctx, w, rs[s.pick(len(rs))].ID, p.Plan)
		}
	case 2:
		if len(rs) > 0 {
			nodes := []string{s.nodes[s.pick(len(s.nodes))].name}
			_, err = m.StartCanary(ctx, w, rs[s.pick(len(rs))].ID, nodes, p.Plan)
		}
	case 3:
		_, err = m.DryRun(ctx, p)
	default:
		_, err = m.Publish(ctx, p)
	}
	s.count(err)
}

func (s *simulation) plan() configsync.Plan {
	p := configsync.Plan{Unreachable: configsync.Policy(s.pick(3)), Wait: s.upTo(10 * time.Second),
		Stage: 30*time.Second + s.upTo(time.Minute), Confirm: time.Second + s.upTo(20*time.Second)}
	if s.chance(3) {
		p.Bake = s.upTo(10 * time.Second)
	}
	if s.chance(2) {
		p.Strict, p.Unreachable = time.Millisecond+s.upTo(5*time.Second), configsync.Refuse
	}
	return p
}

func (s *simulation) count(err error) {
	s.tally.Lock()
	defer s.tally.Unlock()
	for name, e := range map[string]error{"refused": configsync.ErrRefused, "returned": configsync.ErrReturned,
		"busy": configsync.ErrBusy, "conflict": configsync.ErrConflict, "ended": configsync.ErrEnded,
		"cut off": errCut, "closed": configsync.ErrClosed} {
		if errors.Is(err, e) {
			s.ends[name]++
			return
		}
	}
	if err != nil {
		s.ends["other"]++
		return
	}
	s.ends["done"]++
}

// disturb does something to the farm.
func (s *simulation) disturb() {
	n, m := s.anybody()
	switch s.pick(8) {
	case 0:
		n.cutOff(true)
	case 1, 2:
		for _, n := range s.nodes {
			n.cutOff(false)
			n.muffle(false)
		}
	case 3:
		n.muffle(true)
	case 4:
		if m != nil && s.chance(2) { // else what it starts from is older
			s.disks[n] = s.saved(n)
		}
		n.stop()
	case 5:
		s.startAll()
		name := n.name
		if s.chance(2) {
			name = ""
		}
		s.tally.Lock()
		s.sick = name
		s.tally.Unlock()
	case 6:
		if m != nil {
			s.putBack(n)
		}
	case 7:
		lead := s.chance(3)
		s.mu.Lock()
		s.allLead = lead
		s.mu.Unlock()
		if m == nil {
			return
		}
		if c := m.Canary(); c.Rollout != 0 {
			m.EndCanary(context.Background(), c.Rollout, "me", "enough")
		} else if p, err := m.Rollout(0); err == nil && s.chance(3) {
			m.Abort(context.Background(), p.Rollout.ID, "me", "by hand")
		}
	}
}

func (s *simulation) startAll() {
	for _, n := range s.nodes {
		s.mu.Lock()
		stopped := n.manager == nil
		s.mu.Unlock()
		if d := s.disks[n]; stopped {
			n.startFrom(d.snapshot, d.applied)
		}
	}
}

// putBack has a node get its machine from a snapshot, as one does that was too far behind: no older than what it
// had.
func (s *simulation) putBack(n *labNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := slices.MaxFunc(s.nodes, func(a, b *labNode) int { return cmp.Compare(a.applied, b.applied) })
	var b bytes.Buffer
	from.machine.Snapshot().WriteTo(&b)
	n.fresh(b.Bytes(), from.applied)
}

// settle has all well, and checks that all agree.
func (s *simulation) settle() {
	s.tally.Lock()
	s.calm = true
	s.tally.Unlock()
	for _, n := range s.nodes {
		n.cutOff(false)
		n.muffle(false)
	}
	s.startAll()
	time.Sleep(10 * time.Minute)
	m := s.nodes[0].manager
	if c := m.Canary(); c.Rollout != 0 {
		if err := m.EndCanary(context.Background(), c.Rollout, "me", "enough"); err != nil {
			s.t.Error(err)
		}
	}
	p := configsync.Publication{Config: configsync.Files{"site.yaml": "banner: last\n"}, Content: s.contentOf("last")}
	p.Epoch = m.Status().Epoch
	if _, err := m.Publish(context.Background(), p); err != nil {
		s.t.Error(err)
	}
	time.Sleep(time.Minute)
	s.want("last")
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	for node, open := range s.journal.open {
		if open != 0 {
			s.t.Errorf("%d hooks of %s were neither committed nor aborted", open, node)
		}
	}
	for _, line := range s.journal.lines {
		if strings.HasPrefix(line, "TWICE") {
			s.t.Error(line)
		}
	}
}
