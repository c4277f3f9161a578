package configsync_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// folder publishes files as those of a site's folder; the content is that of the shelf, or stays as it is.
func (n *labNode) folder(t *testing.T, by *credential.Key, s *shelf, change func(*configsync.Publication),
	files configsync.Files) (configsync.Result, error) {
	t.Helper()
	o := credential.Order{Key: time.Now().String(), Made: time.Now().UnixMilli()}
	p := configsync.Publication{Publisher: by.ID(), Config: files}
	p.Epoch = n.manager.Status().Epoch
	if files != nil {
		o.Config = credential.FilesHash(files)
	}
	if s != nil {
		o.Root = s.m.Root()
	}
	signed, err := by.Sign(o)
	if err != nil {
		t.Fatal(err)
	}
	if s != nil {
		p.Content = &configsync.Content{Root: s.m.Root(), Size: 1, Files: 1, Seal: string(signed.Seal)}
	}
	if change != nil {
		change(&p)
	}
	return n.manager.Publish(t.Context(), p)
}

// set changes files by hand.
func (n *labNode) set(t *testing.T, files configsync.Files) {
	t.Helper()
	c := configsync.Change{Set: files, Write: configsync.Write{Epoch: n.manager.Status().Epoch, Who: "ann"}}
	if _, err := n.manager.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// published returns the last node of a lab, a publisher's key that the farm knows, and where it publishes to.
func published(t *testing.T, nodes int) (*labNode, *credential.Key, *shelf) {
	t.Helper()
	s := newShelf(t)
	n := newLab(t, nodes, s.settings).nodes[nodes-1]
	ci := newKey(t, "shop")
	mint(t, n.manager, ci)
	return n, ci, s
}

// TestPublicationUndoesNobodysChange: a folder that does not know of what was changed by hand is refused, by the names
// of the fields; one that has the change, or leaves the field alone, is not; and who wants it all the same says so.
func TestPublicationUndoesNobodysChange(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, ci, s := published(t, 3)
		ok := func(change func(*configsync.Publication), files configsync.Files) {
			t.Helper()
			if _, err := n.folder(t, ci, s, change, files); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(fields string, files configsync.Files) {
			t.Helper()
			_, err := n.folder(t, ci, s, nil, files)
			e, is := errors.AsType[*configsync.OverwriteError](err)
			if !is || !errors.Is(err, configsync.ErrOverwrites) {
				t.Fatalf("%v", err)
			}
			got := ""
			for _, d := range e.Fields {
				got += d.String() + "; "
			}
			if got != fields {
				t.Errorf("refused for %s; want %s", got, fields)
			}
		}
		one := func(text string) configsync.Files { return configsync.Files{"site.yaml": text} }

		// What was set by hand before anything was published counts as well.
		n.set(t, one("banner: By hand\n"))
		if _, err := n.folder(t, ci, s, nil, nil); err != nil { // content alone is no word about the configuration
			t.Fatal(err)
		}
		refused(`site: banner: "By hand" -> "Spring"; `, one("banner: Spring\nprices: {tea: 3}\n"))
		ok(nil, one("banner: By hand\nprices: {tea: 3}\n"))
		ok(nil, one("banner: Spring\nprices: {tea: 3}\n"))

		n.set(t, configsync.Files{"site.yaml": "banner: Spring\nprices: {tea: 4}\n", "roles/front/site.yaml": "banner: F\n"})
		refused(`site: prices.tea: 4 -> 3; site, role front: banner: "F" -> "Summer"; `,
			one("banner: Summer\nprices: {tea: 3}\n"))
		with := configsync.Files{"site.yaml": "banner: Summer\nprices: {tea: 4}\n", "roles/front/site.yaml": "banner: F\n"}
		ok(nil, with) // it knows of all that
		with["site.yaml"] = "banner: Summer\nprices: {tea: 5}\n"
		ok(nil, with) // and goes on from there

		n.set(t, one("banner: Summer\nprices: {tea: 6}\n"))
		refused("site: prices.tea: 6 -> 5; ", with)
		dry := func(p *configsync.Publication) { p.Plan.Dry = true }
		if _, err := n.folder(t, ci, s, dry, with); !errors.Is(err, configsync.ErrOverwrites) {
			t.Errorf("a dry run: %v", err)
		}
		ok(func(p *configsync.Publication) { p.Overwrite = true }, with)

		// A rollback is not taken for a publication: to one it leads back to that, and to a change to that.
		epochs := n.manager.Epochs()
		byHand := slices.IndexFunc(epochs, func(e configsync.Epoch) bool { return e.Who == "ann" && e.Number > 2 })
		if _, err := n.manager.Rollback(t.Context(), configsync.Write{Epoch: n.manager.Status().Epoch},
			epochs[byHand].Number); err != nil {
			t.Fatal(err)
		}
		refused("site: prices.tea: 4 -> 3; site, role front: banner: \"F\" -> \"Spring\"; ",
			one("banner: Spring\nprices: {tea: 3}\n"))

		// A release that was kept for later is not put in force unseen either.
		hold := func(p *configsync.Publication) { p.Hold, p.Overwrite = true, true }
		r, err := n.folder(t, ci, s, hold, one("banner: Held\nprices: {tea: 3}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if lost, err := n.manager.Overwritten(r.Release); err != nil || lost == nil || len(lost.Fields) != 2 {
			t.Errorf("%v, %v", lost, err)
		}
	})
}

// TestTakenOverIsKnown: who has published a folder with a change made by hand goes on from there, also if nothing else
// was in it, so that nothing had to be published.
func TestTakenOverIsKnown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, ci, s := published(t, 2)
		for i, of := range []*shelf{s, nil} { // with content, and configuration alone
			one := func(tea int) configsync.Files {
				return configsync.Files{"site.yaml": fmt.Sprintf("banner: B%d\nprices: {tea: %d}\n", i, tea)}
			}
			publish := func(tea int) configsync.Result {
				t.Helper()
				r, err := n.folder(t, ci, of, nil, one(tea))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			publish(3)
			n.set(t, one(4))
			dry := func(p *configsync.Publication) { p.Plan.Dry = true }
			if r, err := n.folder(t, ci, of, dry, one(4)); err != nil || r.Rollout != 0 {
				t.Errorf("a dry run: %+v, %v", r, err)
			}
			if r := publish(4); r.Rollout == 0 {
				t.Errorf("%+v: nobody will know that the change was taken over", r)
			}
			if r := publish(4); r.Rollout != 0 {
				t.Errorf("%+v: it is published again and again", r)
			}
			publish(5)
		}
	})
}

// TestActivateUndoesNobodysChange: a release that was tried, and never in force, undoes no change that was made since.
func TestActivateUndoesNobodysChange(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 2, s.settings)
		m := l.nodes[0].manager
		ci := newKey(t, "shop")
		mint(t, m, ci)
		one := func(text string) configsync.Files { return configsync.Files{"site.yaml": text} }
		publish := func(hold bool, files configsync.Files) configsync.Result {
			t.Helper()
			r, err := l.nodes[0].folder(t, ci, s, func(p *configsync.Publication) { p.Hold = hold }, files)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := publish(false, one("banner: A\nprices: {tea: 3}\n"))
		held := publish(true, one("banner: B\nprices: {tea: 3}\n"))
		lost := func(release uint64, want int) {
			t.Helper()
			lost, err := m.Overwritten(release)
			if err != nil || (lost != nil) != (want > 0) || lost != nil && len(lost.Fields) != want {
				t.Errorf("release %d: %v, %v", release, lost, err)
			}
		}
		r, err := m.StartCanary(t.Context(), configsync.Write{Epoch: 1}, held.Release, []string{"n2"}, configsync.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		lost(held.Release, 0) // it is promoted as it is
		if err := m.EndCanary(t.Context(), r.Rollout, "ann", ""); err != nil {
			t.Fatal(err)
		}
		l.nodes[0].set(t, one("banner: A\nprices: {tea: 4}\n"))
		lost(held.Release, 1)
		lost(first.Release, 0) // who goes back means to
	})
}

// TestEveryLayerCounts: what was changed in two files alike and taken over in one alone would be undone in the other; and
// so would a lock. What is new in a layer undoes nothing.
func TestEveryLayerCounts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, ci, s := published(t, 1)
		both := func(all, front string) configsync.Files {
			return configsync.Files{"site.yaml": all, "roles/front/site.yaml": front}
		}
		publish := func(files configsync.Files) string {
			t.Helper()
			_, err := n.folder(t, ci, s, nil, files)
			e, is := errors.AsType[*configsync.OverwriteError](err)
			if !is && err != nil {
				t.Fatal(err)
			}
			names := ""
			for i := 0; is && i < len(e.Fields); i++ {
				names += e.Fields[i].String() + "; "
			}
			return names
		}
		if got := publish(both("banner: A\n", "banner: A\n")); got != "" {
			t.Fatal(got)
		}
		n.set(t, both("banner: B\nlocked: [prices]\n", "banner: B\n"))
		if got := publish(both("banner: B\nlocked: [prices]\n", "banner: A\n")); got != `site, role front: banner: "B" -> "A"; ` {
			t.Errorf("refused for %q", got)
		}
		if got := publish(both("banner: B\n", "banner: B\n")); got != "site: lock of prices: true -> none; " {
			t.Errorf("refused for %q", got)
		}
		with := both("banner: B\nlocked: [prices]\n", "banner: B\n")
		with["nodes/n1/site.yaml"] = "banner: New\n"
		if got := publish(with); got != "" {
			t.Errorf("refused for %q", got)
		}
	})
}

// TestForgottenEpochsHideNoChange: if what was in force before a publication is not known any more, its configuration is
// not taken for the publisher's.
func TestForgottenEpochsHideNoChange(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, ci, s := published(t, 1)
		n.set(t, configsync.Files{"site.yaml": "banner: By hand\n"})
		for i := range 51 { // content alone, each with other needs
			if _, err := n.folder(t, ci, s, func(p *configsync.Publication) { p.Level = uint64(i + 1) }, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err := n.folder(t, ci, s, nil, configsync.Files{"site.yaml": "banner: Spring\n"})
		if !errors.Is(err, configsync.ErrOverwrites) {
			t.Errorf("%v", err)
		}
	})
}

// TestNobodysFieldsAreTakenBack: a folder whose configuration is of before what another publisher has published since
// is refused by the names of the fields; what is in it in a third form is its publisher's own work, and he may take
// back his own.
func TestNobodysFieldsAreTakenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, s := published(t, 2)
		key := func(name string) *credential.Key {
			t.Helper()
			k, err := credential.NewKey("shop", name, time.Now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			mint(t, n.manager, k)
			return k
		}
		ann, bob := key("ann"), key("bob")
		publish := func(by *credential.Key, banner string, tea int, want string) {
			t.Helper()
			files := configsync.Files{"site.yaml": fmt.Sprintf("banner: %s\nprices: {tea: %d}\n", banner, tea)}
			_, err := n.folder(t, by, s, nil, files)
			got := ""
			if e, is := errors.AsType[*configsync.OverwriteError](err); is {
				for _, d := range e.Fields {
					got += d.String() + "; "
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s, %d: refused for %q; want %q", banner, tea, got, want)
			}
		}
		publish(ann, "A", 3, "")
		publish(bob, "A", 4, "")
		publish(ann, "B", 3, "site: prices.tea: 4 -> 3; ") // her folder has not taken it over
		publish(ann, "B", 4, "")
		publish(ann, "B", 3, "") // and now she means it
		publish(bob, "A", 4, `site: banner: "B" -> "A"; site: prices.tea: 3 -> 4; `)
		publish(bob, "B", 5, "")
		publish(bob, "B", 3, "") // what he has changed himself
		publish(ann, "C", 3, "")
		publish(key("eve"), "A", 3, `site: banner: "C" -> "A"; `) // who has published nothing is compared with all
		publish(key("new"), "D", 3, "")
	})
}

// TestNobodysFilesOfConfigAreTakenBack: two programs share a farm. A folder published by way of the one lacks the
// other's configuration, which somebody else has published since: it is refused by the name of the file, since this
// program knows of nothing in it.
func TestNobodysFilesOfConfigAreTakenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 2, func(set *configsync.Settings) {
			if s.settings(set); set.Node == "n2" {
				set.Configs = []configsync.Declared{site}
			}
		})
		ann, bob := newKey(t, "shop"), newKey(t, "shop")
		bob.Name = "bob"
		mint(t, l.nodes[0].manager, ann)
		mint(t, l.nodes[0].manager, bob)
		publish := func(node int, by *credential.Key, want string, files ...string) {
			t.Helper()
			folder := configsync.Files{}
			for i := 0; i < len(files); i += 2 {
				folder[files[i]] = files[i+1]
			}
			_, err := l.nodes[node].folder(t, by, s, nil, folder)
			if want == "" && err != nil || want != "" && (!errors.Is(err, configsync.ErrOverwrites) ||
				!strings.HasSuffix(err.Error(), "since the last publication: "+want)) {
				t.Errorf("%v; want %q", err, want)
			}
		}
		publish(1, ann, "", "site.yaml", "banner: A\n")
		publish(0, bob, "", "site.yaml", "banner: A\n", "other.yaml", "n: 2\n", "nodes/n1/other.yaml", "n: 3\n")
		publish(1, ann, "nodes/n1/other.yaml; other.yaml", "site.yaml", "banner: B\n")
		publish(1, ann, "", "site.yaml", "banner: B\n", "other.yaml", "n: 2\n", "nodes/n1/other.yaml", "n: 3\n")
		publish(1, ann, "", "site.yaml", "banner: C\n", "other.yaml", "n: 2\n") // and now she means it
	})
}
