package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

type Site struct {
	Banner string         `json:"banner"`
	Prices map[string]int `json:"prices"`
	Listen string         `json:"listen" reload:"restart"`
	Limits Limits         `json:"limits"`
	Token  configsync.Secret
}

type Limits struct {
	Max int `json:"max"`
}

func (l Limits) Validate() error {
	if l.Max > 100 {
		return fmt.Errorf("max is %d; 100 are possible", l.Max)
	}
	return nil
}

var (
	site  = configsync.NewConfig("site", Site{Banner: "Welcome", Listen: ":1"})
	other = configsync.NewConfig("other", struct{ N int }{1})
)

// farm is a log and the machines behind it, which all apply a command before Propose returns.
type farm struct {
	mu        sync.Mutex
	index     uint64
	machines  []*configsync.Machine
	changed   []chan struct{}
	uncertain bool   // Propose does it and does not know
	barrier   func() // runs within Barrier
}

func newFarm(n int) *farm {
	f := new(farm)
	for range n {
		c := make(chan struct{}, 1)
		f.changed = append(f.changed, c)
		f.machines = append(f.machines, configsync.NewMachine(c))
	}
	return f
}

func (f *farm) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	var value []byte
	for _, m := range f.machines {
		value = m.Apply(f.index, time.Unix(int64(f.index), 0), cmd)
	}
	if f.uncertain {
		f.uncertain = false
		return 0, nil, configsync.ErrUncertain
	}
	return f.index, value, nil
}

func (f *farm) Barrier(context.Context) error {
	if f.barrier != nil {
		b := f.barrier
		f.barrier = nil
		b()
	}
	return nil
}

func (f *farm) open(t testing.TB, node int, s configsync.Settings) *configsync.Manager {
	t.Helper()
	s.Node, s.Log, s.Changed = fmt.Sprint("n", node+1), f, f.changed[node]
	s.Local = func() *configsync.Machine {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.machines[node]
	}
	if s.Configs == nil {
		s.Configs = []configsync.Declared{site, other}
	}
	return open(t, s)
}

func open(t testing.TB, s configsync.Settings) *configsync.Manager {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := configsync.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func put(t testing.TB, m *configsync.Manager, files ...string) {
	t.Helper()
	if err := tryPut(m, files...); err != nil {
		t.Fatal(err)
	}
}

func tryPut(m *configsync.Manager, files ...string) error {
	c := configsync.Change{Write: configsync.Write{Epoch: m.Status().Epoch, Who: "me", Why: "test"},
		Set: configsync.Files{}}
	for i := 0; i < len(files); i += 2 {
		c.Set[files[i]] = files[i+1]
	}
	_, err := m.Put(context.Background(), c)
	return err
}

// TestListsThatDiffer has several lists of configs in one process, so that the place of a config in the list
// of one is another's in that of the next.
func TestListsThatDiffer(t *testing.T) {
	lists := [][]configsync.Declared{{site, other}, {other, site}, {other}, {site}}
	var many []configsync.Declared
	for i := range 20 {
		many = append(many, configsync.NewConfig(fmt.Sprint("more-", i), struct{ N int }{i}))
	}
	lists = append(lists, append(many, site, other))
	var all []*configsync.Manager
	for _, l := range lists {
		all = append(all, open(t, configsync.Settings{Configs: l}))
	}
	for i, m := range all {
		ctx := m.Context(t.Context())
		if i != 2 && (site.Get(ctx).Banner != "Welcome" || site.Load(ctx).Banner != "Welcome") {
			t.Errorf("list %d: %+v %+v", i, site.Get(ctx), site.Load(ctx))
		}
		if i != 3 && (other.Get(ctx).N != 1 || other.Load(ctx).N != 1) {
			t.Errorf("list %d: %+v %+v", i, other.Get(ctx), other.Load(ctx))
		}
	}
}

func TestGet(t *testing.T) {
	f := newFarm(2)
	a, b := f.open(t, 0, configsync.Settings{Role: "front"}), f.open(t, 1, configsync.Settings{})
	if got := site.Get(a.Context(t.Context())); got.Banner != "Welcome" || got.Prices != nil ||
		got.Listen != ":1" {
		t.Errorf("defaults: %+v", got)
	}
	put(t, a, "site.yaml", "banner: Hello\nprices: {tea: 3}\n", "roles/front/site.json",
		`{"limits": {"max": 7}}`,
		"nodes/n2/site.yaml", "prices: {tea: 4}\n", "other.yaml", "n: 5\n")
	for node, want := range map[*configsync.Manager]string{a: "Hello 3 7", b: "Hello 4 0"} {
		got := site.Get(node.Context(t.Context()))
		if s := fmt.Sprint(got.Banner, " ", got.Prices["tea"], " ", got.Limits.Max); s != want {
			t.Errorf("got %s, want %s", s, want)
		}
		if n := other.Get(node.Context(t.Context())).N; n != 5 {
			t.Errorf("other: %d", n)
		}
	}
}

// TestViewDoesNotStraddle: what a request reads does not change while it runs, on any node, and Load does.
func TestViewDoesNotStraddle(t *testing.T) {
	f := newFarm(2)
	a, b := f.open(t, 0, configsync.Settings{}), f.open(t, 1, configsync.Settings{})
	put(t, a, "site.yaml", "banner: one\n", "other.yaml", "n: 1\n")
	h := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, job := site.Get(r.Context()), b.Context(context.Background())
		put(t, a, "site.yaml", "banner: two\n", "other.yaml", "n: 2\n")
		if got := site.Get(r.Context()); got != first || got.Banner != "one" || other.Get(r.Context()).N != 1 {
			t.Errorf("the request's view has changed: %+v", got)
		}
		if got := site.Get(job); got != first {
			t.Errorf("the job's view has changed: %+v", got)
		}
		inner := b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if site.Get(r.Context()) != first {
				t.Error("a second Handler took another view")
			}
		}))
		inner.ServeHTTP(w, r)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	next := b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := site.Get(r.Context()); got.Banner != "two" || site.Load(r.Context()) != got {
			t.Errorf("the next request got %+v", got)
		}
	}))
	next.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// TestSwitchIsAtOneIndex: a request that begins after a node has applied a switch sees it, though nobody has
// made the values yet.
func TestSwitchIsAtOneIndex(t *testing.T) {
	f := newFarm(3)
	var nodes []*configsync.Manager
	for i := range 3 {
		nodes = append(nodes, f.open(t, i, configsync.Settings{}))
	}
	for i := range 200 {
		put(t, nodes[i%3], "site.yaml", fmt.Sprintf("banner: v%d\n", i))
		var wg sync.WaitGroup
		for _, m := range nodes {
			for range 3 {
				wg.Go(func() {
					if got := site.Get(m.Context(context.Background())).Banner; got != fmt.Sprint("v", i) {
						t.Errorf("after %d: %s", i, got)
					}
				})
			}
		}
		wg.Wait()
	}
}

func TestTwoFarmsInOneProcess(t *testing.T) {
	a, b := newFarm(1).open(t, 0, configsync.Settings{}), newFarm(1).open(t, 0, configsync.Settings{})
	put(t, a, "site.yaml", "banner: a\n")
	put(t, b, "site.yaml", "banner: b\n")
	if x, y := site.Get(a.Context(t.Context())).Banner, site.Get(b.Context(t.Context())).Banner; x != "a" ||
		y != "b" {
		t.Error(x, y)
	}
}

func TestSections(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: top\npaths:\n  /shop/: {banner: shop}\n  /shop/tea/: {limits: {max: 5}}\n",
		"nodes/n1/site.yaml", "banner: node\n")
	got := ""
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c := site.Get(r.Context())
		got = fmt.Sprint(c.Banner, c.Limits.Max)
		if site.Load(r.Context()) != c {
			t.Error("Load is of another section")
		}
	}))
	for path, want := range map[string]string{
		"/": "node0", "/shop": "shop0", "/shop/x": "shop0", "/shop/tea/x": "shop5", "/shopping": "node0",
		"/shop/tea":       "shop5",
		"/x/../shop/tea/": "shop5", "//shop/./tea//x": "shop5", "/shop/tea/..": "shop0",
		"/shop/tea/../../": "node0",
		"/shop%2Ftea/x":    "shop5", "/SHOP/": "node0", "/.well-known/shop/": "node0",
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if c := site.Get(m.Context(t.Context())); c.Banner != "node" {
		t.Errorf("outside of requests: %+v", c)
	}
}

func TestPanicsOnMisuse(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{Configs: []configsync.Declared{site}})
	for want, f := range map[string]func(){
		"with a context that no Manager has seen":  func() { site.Get(context.Background()) },
		"that NewConfig has not made":              func() { configsync.Config[Site]{}.Get(m.Context(context.Background())) },
		`config "other" (config_test.go`:           func() { other.Get(m.Context(context.Background())) },
		"list it in farm.Config.Configs":           func() { other.Load(m.Context(context.Background())) },
		`"Site" cannot be the name`:                func() { configsync.NewConfig("Site", Site{}) },
		"F is a chan int, which no file":           func() { configsync.NewConfig("x", struct{ F chan int }{}) },
		`which stands for something else in files`: func() { configsync.NewConfig("x", struct{ Locked bool }{}) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
			}()
			f()
		}()
	}
	twin := configsync.NewConfig("site", Site{})
	if _, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{site, twin}}); err == nil ||
		!strings.Contains(err.Error(), `two configs called "site" (config_test.go:`) {
		t.Error(err)
	}
	bad := configsync.NewConfig("bad", Limits{Max: 101})
	if _, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{bad}}); err == nil ||
		!strings.Contains(err.Error(), "the defaults: max is 101") {
		t.Error(err)
	}
}

// TestPutRefusesAndChangesNothing: what any kind of node could not use is refused, with all that is wrong.
func TestPutRefusesAndChangesNothing(t *testing.T) {
	f := newFarm(1)
	m := f.open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: good\n")
	for want, files := range map[string][]string{
		"site.yaml:2:1: baner: unknown field; did you mean banner?": {"site.yaml",
			"\nbaner: x\nlimits: {max: a}\n"},
		"site.yaml:3:15: limits.max: is the text": {"site.yaml",
			"\nbaner: x\nlimits: {max: a}\n"},
		"site.yaml:1:9: limits: max is 101; 100 are possible": {"site.yaml", "limits: {max: 101}\n"},
		"max is 102; 100 are possible (for node n9)":          {"nodes/n9/site.yaml", "limits: {max: 102}\n"},
		"(for role front)":      {"roles/front/site.yaml", "limits: {max: 102}\n"},
		"(for requests to /x/)": {"site.yaml", "paths: {/x/: {limits: {max: 102}}}\n"},
		"token: is a secret":    {"site.yaml", "token: x\n"},
		"site.yaml: is the same layer of the same config as site.json": {"site.json", "{}"},
		`has no config "sit"; did you mean site?`:                      {"sit.yaml", ""},
		"README: has to end in .yaml":                                  {"README", ""},
		"nodes/n1/site.yaml:1:9: banner: is locked by site.yaml:1:10": {"site.yaml", "locked: [banner]\n",
			"nodes/n1/site.yaml",
			"banner: x\n"},
		"there are 1 files with 262145 bytes": {"site.yaml", strings.Repeat("#", 262145)},
	} {
		err := tryPut(m, files...)
		if ps, ok := err.(configsync.Problems); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v (%d)\nwant %s", files, err, len(ps), want)
		}
	}
	if got := site.Get(m.Context(t.Context())).Banner; got != "good" || m.Status().Epoch != 1 || f.index != 3 {
		t.Errorf("%s, %+v, %d commands", got, m.Status(), f.index)
	}
}

func TestCompareAndSwap(t *testing.T) {
	f := newFarm(2)
	a, b := f.open(t, 0, configsync.Settings{}), f.open(t, 1, configsync.Settings{})
	put(t, a, "site.yaml", "banner: a\n")
	c := configsync.Change{Set: configsync.Files{"site.yaml": "banner: b\n"}}
	if epoch, err := b.Put(t.Context(), c); !errors.Is(err, configsync.ErrConflict) || epoch != 1 {
		t.Errorf("%d, %v", epoch, err)
	}
	// Somebody is faster between the look and the write.
	c.Epoch = 1
	f.barrier = func() { put(t, a, "site.yaml", "banner: faster\n") }
	if epoch, err := b.Put(t.Context(), c); !errors.Is(err, configsync.ErrConflict) || epoch != 2 {
		t.Errorf("%d, %v", epoch, err)
	}
	// An unknown outcome is repeated, and done once.
	c.Epoch, c.Key = 2, "random"
	f.uncertain = true
	if _, err := b.Put(t.Context(), c); !errors.Is(err, configsync.ErrUncertain) {
		t.Error(err)
	}
	if epoch, err := a.Put(t.Context(), c); err != nil || epoch != 3 || a.Status().Epoch != 3 {
		t.Errorf("%d, %v", epoch, err)
	}
	// Nothing to change is no epoch.
	if epoch, err := a.Put(t.Context(), configsync.Change{Write: configsync.Write{Epoch: 3},
		Set: c.Set}); err != nil || epoch != 3 {
		t.Errorf("%d, %v", epoch, err)
	}
}

func TestHistoryDiffRollback(t *testing.T) {
	f := newFarm(1)
	m := f.open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: one # a comment\nprices: {tea: 3}\n")
	put(t, m, "site.yaml", "banner: two\nprices: {tea: 3, mead: 4}\nlisten: \":2\"\npaths: {/x/: {banner: x}}\n",
		"nodes/n7/site.yaml", "limits: {max: 1}\n")
	ds, err := m.Diff(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []configsync.Difference{
		{Config: "site", Field: "banner", Old: `"one"`, New: `"two"`},
		{Config: "site", Field: "listen", Old: `":1"`, New: `":2"`, Restart: true},
		{Config: "site", Field: "prices.mead", New: "4"},
		{Config: "site", Section: "/x/", Field: "banner", Old: `"one"`, New: `"x"`},
		{Config: "site", For: "node n7", Field: "limits.max", Old: "0", New: "1"},
	}
	if !slices.Equal(ds, want) {
		t.Errorf("\n got %+v\nwant %+v", ds, want)
	}
	epoch, err := m.Rollback(t.Context(), configsync.Write{Epoch: 2, Who: "you", Why: "back"}, 1)
	if err != nil || epoch != 3 || site.Get(m.Context(t.Context())).Banner != "one" {
		t.Errorf("%d, %v", epoch, err)
	}
	if files, e, err := m.Files(0); err != nil || e.Number != 3 ||
		files["site.yaml"] != "banner: one # a comment\nprices: {tea: 3}\n" {
		t.Errorf("%v %v %v", files, e, err)
	}
	var history []string
	for _, e := range m.Epochs() {
		history = append(history, fmt.Sprint(e.Number, " ", e.Revision, " ", e.Who, " ", e.Why))
	}
	if got := strings.Join(history, ", "); got != "1 1 me test, 2 2 me test, 3 1 you back" {
		t.Error(got)
	}
	if _, err := m.Rollback(t.Context(), configsync.Write{Epoch: 3}, 77); !errors.Is(err,
		configsync.ErrNoEpoch) {
		t.Error(err)
	}
	if _, _, err := m.Files(9); !errors.Is(err, configsync.ErrNoEpoch) {
		t.Error(err)
	}
}

func TestExplain(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: global\nprices: {tea: 1}\npaths: {/x/: {banner: x}}\n",
		"nodes/n1/site.yaml", "banner: node\n",
		"roles/front/site.yaml", "prices:\n")
	got, err := m.Explain(configsync.Question{Config: "site", Field: "banner", Path: "/x/y"})
	if s := fmt.Sprintf("%+v %v", got,
		err); s != `[{Field:banner Value:"x" Restart:false Secret:false Sources:[`+
		`{Layer:default Section: Value:"Welcome" File: Line:0} `+
		`{Layer:global Section: Value:"global" File:site.yaml Line:1} `+
		`{Layer:node n1 Section: Value:"node" File:nodes/n1/site.yaml Line:1} `+
		`{Layer:global Section:/x/ Value:"x" File:site.yaml Line:3}]}] <nil>` {
		t.Error(s)
	}
	all, err := m.Explain(configsync.Question{Config: "site"})
	if last := all[len(all)-1]; err != nil || len(all) != 4+1 || !all[1].Restart || last.Field != "token" {
		t.Errorf("%+v %v", all, err)
	}
	gone, err := m.Explain(configsync.Question{Config: "site", Field: "prices.tea", Node: "n5", Role: "front"})
	if s := fmt.Sprintf("%+v %v", gone,
		err); s != `[{Field:prices.tea Value: Restart:false Secret:false Sources:[`+
		`{Layer:global Section: Value:1 File:site.yaml Line:2} `+
		`{Layer:role front Section: Value:null File:roles/front/site.yaml Line:1}]}] <nil>` {
		t.Error(s)
	}
	for want, q := range map[string]configsync.Question{
		"did you mean site?":   {Config: "sit"},
		"did you mean banner?": {Config: "site", Field: "baner"},
		"has to be in quotes":  {Config: "site", Field: "a b"},
	} {
		if _, err := m.Explain(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
}

// TestOlderProgramKeepsWhatItHad: a node that cannot use what is in force goes on with what it had, says so,
// and comes after.
func TestOlderProgramKeepsWhatItHad(t *testing.T) {
	type Newer struct {
		Banner, Extra string
	}
	newer := configsync.NewConfig("site", Newer{})
	f := newFarm(2)
	a, b := f.open(t, 0, configsync.Settings{}), f.open(t, 1,
		configsync.Settings{Configs: []configsync.Declared{newer}})
	put(t, a, "site.yaml", "banner: one\n")
	put(t, b, "site.yaml", "banner: two\nextra: new\n")
	st := a.Status()
	if got := site.Get(a.Context(t.Context())).Banner; got != "one" || st.Epoch != 2 || st.Uses != 1 ||
		!strings.Contains(st.Problem, "site.yaml:2:1: extra: unknown field") {
		t.Errorf("%s, %+v", got, st)
	}
	put(t, b, "site.yaml", "banner: three\n")
	if st := a.Status(); site.Get(a.Context(t.Context())).Banner != "three" || st.Uses != 3 || st.Problem != "" {
		t.Errorf("%+v", st)
	}
	// Files of programs that share the farm do not matter here, unless they are changed here.
	put(t, a, "other.yaml", "n: 1\n")
	put(t, b, "site.yaml", "banner: four\n")
	if err := tryPut(b, "other.yaml", "n: 2\n"); err == nil || !strings.Contains(err.Error(), "has no config") {
		t.Error(err)
	}
}

func TestStatusNamesWhatNeedsARestart(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "listen: \":2\"\n")
	if st := m.Status(); st.Restart != nil {
		t.Errorf("nobody has looked at it yet: %+v", st)
	}
	site.Get(m.Context(t.Context()))
	put(t, m, "site.yaml", "listen: \":3\"\nbanner: x\n")
	if st := m.Status(); !slices.Equal(st.Restart, []string{"site.listen"}) ||
		site.Get(m.Context(t.Context())).Listen != ":3" {
		t.Errorf("%+v", st)
	}
	put(t, m, "site.yaml", "listen: \":2\"\n")
	if st := m.Status(); st.Restart != nil {
		t.Errorf("it is as it was: %+v", st)
	}
}

func TestFollow(t *testing.T) {
	f := newFarm(1)
	m := f.open(t, 0, configsync.Settings{})
	ctx, cancel := context.WithCancel(m.Context(t.Context()))
	defer cancel()
	step := 0
	for v := range site.Follow(ctx) {
		switch step {
		case 0:
			if v.Epoch != 0 || v.Value.Banner != "Welcome" {
				t.Errorf("first: %+v", v)
			}
			put(t, m, "other.yaml", "n: 3\n") // another config's business
			put(t, m, "site.yaml", "banner: one\n")
			put(t, m, "site.yaml", "banner: two\n")
		case 1:
			if v.Epoch != 3 || v.Value.Banner != "two" {
				t.Errorf("then: %+v", v)
			}
			cancel()
		default:
			t.Fatal("it goes on after its context")
		}
		step++
	}
	if step != 2 {
		t.Errorf("%d steps", step)
	}
}

func TestUnchangedValuesAreTheSameObject(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: x\n")
	was := site.Get(m.Context(t.Context()))
	put(t, m, "other.yaml", "n: 3\n", "site.yaml", "# said differently\nbanner: \"x\"\n")
	if site.Get(m.Context(t.Context())) != was {
		t.Error("another object for the same value")
	}
}

// TestRestoredMachine: the machine is replaced, which nobody says, and what it holds counts.
func TestRestoredMachine(t *testing.T) {
	f := newFarm(1)
	m := f.open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: x\n")
	source := newFarm(1)
	put(t, source.open(t, 0, configsync.Settings{}), "site.yaml", "banner: restored\n")
	f.mu.Lock()
	f.machines[0] = source.machines[0]
	f.mu.Unlock()
	if got := site.Get(m.Context(t.Context())).Banner; got != "restored" {
		t.Error(got)
	}
}

func TestNoLog(t *testing.T) {
	m := open(t, configsync.Settings{Configs: []configsync.Declared{site}})
	if site.Get(m.Context(t.Context())).Banner != "Welcome" {
		t.Error("no defaults")
	}
	if err := tryPut(m, "site.yaml", ""); !errors.Is(err, configsync.ErrLocal) {
		t.Error(err)
	}
	served := false
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })
	open(t, configsync.Settings{}).Handler(h).ServeHTTP(nil, nil)
	if !served {
		t.Error("without configs, Handler is not next")
	}
}

func TestCheckWithoutAFarm(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		file := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text),
			0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("site.yaml", "banner: x\n")
	write("nodes/n1/site.yaml", "limits: {max: 1}\n")
	write(".git/config", "x")
	write("site.yaml~", "x")
	files, err := configsync.ReadFolder(os.DirFS(dir))
	if err != nil || len(files) != 2 || configsync.Check(files, site) != nil {
		t.Errorf("%v %v", files, err)
	}
	write("nodes/n1/site.yaml", "limits: {max: 1000}\n")
	files, _ = configsync.ReadFolder(os.DirFS(dir))
	if err := configsync.Check(files, site); err == nil || !strings.Contains(err.Error(),
		"nodes/n1/site.yaml:1:9: limits: max is 1000") {
		t.Error(err)
	}
	os.Symlink("site.yaml", filepath.Join(dir, "link.yaml"))
	if _, err := configsync.ReadFolder(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(),
		"link.yaml: is no regular file") {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, "link.yaml"))
	write("big.yaml", strings.Repeat("#", 300<<10))
	if _, err := configsync.ReadFolder(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(),
		"more than 262144 bytes") {
		t.Error(err)
	}
}
