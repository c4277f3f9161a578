package configsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// StrictSite is Site in the program of one node: it has no limits, and takes less.
type StrictSite struct {
	Banner string         `json:"banner"`
	Prices map[string]int `json:"prices"`
	Listen string         `json:"listen" reload:"restart"`
}

func (s StrictSite) Validate() error {
	if s.Banner == "forbidden" {
		return errors.New("that is forbidden")
	}
	return nil
}

var strict = configsync.NewConfig("site", StrictSite{Banner: "Welcome", Listen: ":1"})

// TestRefusalsLeaveAllAsItWas: for whatever reason one node refuses a release, all nodes show what they showed, by the
// same objects; what is in force is the same, and the states are the same bytes on all; what was prepared is undone.
func TestRefusalsLeaveAllAsItWas(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j, d, third := &journal{}, newDepot(), newDepot()
		l := newLab(t, 3, func(s *configsync.Settings) {
			s.Farm, s.Content, s.Program, s.Level = "shop", d, "2.0.0", 4
			s.Prepare = []configsync.Hook{j.hook(s.Node, nil)}
			if s.Node != "n3" {
				return
			}
			s.Content, s.Program, s.Configs = third, "1.0.0", []configsync.Declared{strict, other}
			s.Prepare = []configsync.Hook{strict.OnPrepare(func(_ context.Context, _, next *StrictSite) (_, _ func(), err error) {
				if next.Banner == "no port" {
					err = errors.New(next.Banner)
				}
				return nil, nil, err
			})}
			s.CheckContent = func(_ context.Context, files fs.FS) error {
				if _, err := fs.Stat(files, "templates/bad"); err == nil {
					return errors.New("a bad template")
				}
				return nil
			}
		})
		key := newKey(t, "shop")
		mint(t, l.nodes[0].manager, key)
		by := &publisher{t, l.nodes[1], d, key, "ann"}
		add := func(files ...string) *configsync.Content {
			third.add(t, files...)
			return d.add(t, files...)
		}
		with := func(text string) func(*configsync.Publication) {
			return func(p *configsync.Publication) {
				p.Config = configsync.Files{"site.yaml": text}
			}
		}
		if _, err := by.contents(with("banner: a\n"), add("public/a", "1")); err != nil {
			t.Fatal(err)
		}
		j.take()
		before := l.facts()
		for want, c := range map[string]struct {
			change  func(*configsync.Publication)
			content *configsync.Content
			fails   error // when the third node fetches
		}{
			"n3: site.yaml:2:1: limits: unknown field":           {with("banner: b\nlimits: {max: 3}\n"), nil, nil},
			"n3: site.yaml: that is forbidden":                   {with("banner: forbidden\n"), nil, nil},
			"max is 102; 100 are possible (for node n9)":         {layered("nodes/n9/site.yaml", "limits: {max: 102}\n"), nil, nil},
			"n3: site: prepare: no port":                         {with("banner: no port\n"), nil, nil},
			"n3: content: blob: no room":                         {with("banner: b\n"), add("public/a", "2"), blob.ErrNoRoom},
			"n3: content: blob: the bytes are not those":         {with("banner: b\n"), add("public/a", "3"), blob.ErrCorrupt},
			"n3: content: a bad template":                        {with("banner: b\n"), add("templates/bad", "4"), nil},
			"changed on the way":                                 {unsealed, add("public/a", "5"), nil},
			"n3: the release needs version 1.5.0 of the program": {needs(configsync.Needs{Program: "1.5.0"}), nil, nil},
			"the release needs protocol level 99":                {needs(configsync.Needs{Level: 99}), nil, nil},
		} {
			third.set(c.fails)
			content := c.content
			if content == nil {
				content = add("public/a", "1")
			}
			_, err := by.contents(c.change, content)
			var ps configsync.Problems
			if err == nil || !errors.Is(err, configsync.ErrRefused) && !errors.As(err, &ps) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q", err, want)
			}
			third.set(nil)
			time.Sleep(time.Minute)
			synctest.Wait()
			if after := l.facts(); after != before {
				t.Errorf("%s: it was\n%s\nand is\n%s", want, before, after)
			}
			if said := j.take(); strings.Contains(said, "commit") || strings.Count(said, "prepare") != strings.Count(said, "abort") {
				t.Errorf("%s: %s", want, said)
			}
			for _, n := range l.nodes[1:] {
				if !bytes.Equal(l.snapshot(n), l.snapshot(l.nodes[0])) {
					t.Errorf("%s: %s has another state", want, n.name)
				}
			}
		}
	})
}

func layered(path, text string) func(*configsync.Publication) {
	return func(p *configsync.Publication) {
		p.Config = configsync.Files{"site.yaml": "banner: b\n", path: text}
	}
}

func unsealed(p *configsync.Publication) {
	p.Content.Seal = strings.Replace(p.Content.Seal, `"made":`, `"made":1`, 1)
}

func needs(n configsync.Needs) func(*configsync.Publication) {
	return func(p *configsync.Publication) {
		p.Needs, p.Config = n, configsync.Files{"site.yaml": "banner: b\n"}
	}
}

// set has the depot fail, or not.
func (d *depot) set(fails error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = fails
}

// facts says what is in force, and what the nodes show, by which objects.
func (l *lab) facts() string {
	var b strings.Builder
	for _, n := range l.nodes {
		m := n.manager
		ctx := m.Context(context.Background())
		value := any(nil)
		if n.name == "n3" {
			value = fmt.Sprintf("%p", strict.Get(ctx))
		} else {
			value = fmt.Sprintf("%p", site.Get(ctx))
		}
		files, e, err := m.Files(0)
		fmt.Fprintln(&b, n.name, value, m.View(ctx).Manifest.Root(), files, e, err, len(m.Epochs()), m.Usable())
	}
	return b.String()
}

// TestEveryWriteIsCompared: whatever changes something says which epoch it changes, and is refused if that is not the
// one in force, with that. An epoch says when it was put in force, by whom and why.
func TestEveryWriteIsCompared(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLab(t, 3, nil)
		begun := time.Now()
		for _, banner := range []string{"a", "b", "c"} {
			l.mustPublish("banner: " + banner + "\n")
			time.Sleep(time.Hour)
		}
		m := l.nodes[1].manager
		for i, e := range m.Epochs() {
			at := begun.Add(time.Duration(i) * time.Hour)
			if e.Time.Before(at) || e.Time.After(at.Add(time.Minute)) || e.Who != "me" || e.Why != "test" {
				t.Errorf("epoch %d is of %v, and not about %v; %s: %s", e.Number, e.Time, at, e.Who, e.Why)
			}
		}
		stale := configsync.Write{Epoch: 2, Who: "me"}
		p := configsync.Publication{Write: stale, Config: configsync.Files{"site.yaml": "banner: d\n"}}
		held := p
		held.Hold = true
		was := l.snapshot(l.nodes[0])
		ctx := t.Context()
		for name, write := range map[string]func() error{
			"Put": func() error {
				_, err := m.Put(ctx, configsync.Change{Write: stale, Set: p.Config})
				return err
			},
			"Publish":     func() error { _, err := m.Publish(ctx, p); return err },
			"held":        func() error { _, err := m.Publish(ctx, held); return err },
			"DryRun":      func() error { _, err := m.DryRun(ctx, p); return err },
			"Rollback":    func() error { _, err := m.Rollback(ctx, stale, 1); return err },
			"Activate":    func() error { _, err := m.Activate(ctx, stale, 1, configsync.Plan{}); return err },
			"StartCanary": func() error { _, err := m.StartCanary(ctx, stale, 1, []string{"n2"}, configsync.Plan{}); return err },
		} {
			if err := write(); !errors.Is(err, configsync.ErrConflict) || !strings.Contains(err.Error(), "3") {
				t.Errorf("%s: %v", name, err)
			}
			if !bytes.Equal(l.snapshot(l.nodes[0]), was) {
				t.Errorf("%s has changed something", name)
			}
		}
		l.want("c")
	})
}

// TestReadsAllocateNothing: nor does a request allocate more than twice for its view.
func TestReadsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates, too")
	}
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: x\n")
	ctx := m.Context(t.Context())
	if n := ci.Allocs(100, 0, func() { site.Get(ctx); site.Load(ctx); other.Get(ctx) }); n > 0 {
		t.Errorf("reads allocate %v times", n)
	}
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { site.Get(r.Context()) }))
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	if n := ci.Allocs(100, 2, func() { h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("a request allocates %v times", n)
	}
}
