package configsync_test

import (
	"errors"
	"slices"
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

// TestPublicationUndoesNobodysChange: a folder that does not know of what was changed by hand is refused, by the names
// of the fields; one that has the change, or leaves the field alone, is not; and who wants it all the same says so.
func TestPublicationUndoesNobodysChange(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 3, s.settings)
		n := l.nodes[1]
		ci := newKey(t, "shop")
		mint(t, n.manager, ci)
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
		if lost, err := n.manager.Overwritten(r.Release); err != nil || len(lost) != 2 {
			t.Errorf("%v, %v", lost, err)
		}
	})
}
