package configsync_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// publisher is somebody who publishes contents of his own folder.
type publisher struct {
	t   *testing.T
	n   *labNode
	d   *depot
	key *credential.Key
	who string
}

// publish publishes files: path, text, path, text. It goes on from the epoch in force, unless change says another.
func (p *publisher) publish(change func(*configsync.Publication), files ...string) (configsync.Result, error) {
	p.t.Helper()
	c := p.d.add(p.t, files...)
	return p.contents(change, c)
}

func (p *publisher) contents(change func(*configsync.Publication), c *configsync.Content) (configsync.Result, error) {
	p.t.Helper()
	signed, err := p.key.Sign(credential.Order{Key: time.Now().String(), Made: time.Now().UnixMilli(), Root: c.Root, Who: p.who})
	if err != nil {
		p.t.Fatal(err)
	}
	c.Seal = string(signed.Seal)
	pub := configsync.Publication{Content: c, Publisher: p.key.ID()}
	pub.Who, pub.Epoch = p.who, p.n.manager.Status().Epoch
	if change != nil {
		change(&pub)
	}
	return p.n.manager.Publish(p.t.Context(), pub)
}

func (p *publisher) must(change func(*configsync.Publication), files ...string) configsync.Result {
	p.t.Helper()
	r, err := p.publish(change, files...)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// refused wants a publication to be refused by the names of these files.
func (p *publisher) refused(names string, files ...string) {
	p.t.Helper()
	before := p.n.manager.Status().Epoch
	_, err := p.publish(nil, files...)
	e, is := errors.AsType[*configsync.OverwriteError](err)
	if !is || !errors.Is(err, configsync.ErrOverwrites) {
		p.t.Fatalf("%v; want %s", err, names)
	}
	var got []string
	for _, f := range e.Files {
		got = append(got, f.String())
	}
	if strings.Join(got, "; ") != names || !strings.Contains(err.Error(), names) || p.n.manager.Status().Epoch != before {
		p.t.Errorf("%v; want %s", err, names)
	}
}

// publishers opens a farm of two nodes, and two people who publish to it.
func publishers(t *testing.T) (ann, bob *publisher) {
	d := newDepot()
	n := newLab(t, 2, func(set *configsync.Settings) { set.Farm, set.Content = "shop", d }).nodes[1]
	var all []*publisher
	for _, who := range []string{"ann", "bob"} {
		key, err := credential.NewKey("shop", "key of "+who, time.Now().Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		mint(t, n.manager, key)
		all = append(all, &publisher{t, n, d, key, who})
	}
	return all[0], all[1]
}

// TestNobodysFilesAreTakenBack: a folder that does not have what somebody else has published since is refused, by the
// names of the files and of who has changed them; what its publisher has changed himself is not, nor what he has taken
// over; and who wants it all the same says so.
func TestNobodysFilesAreTakenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ann, bob := publishers(t)
		ann.must(nil, "public/a", "1", "public/b", "1", "public/c", "1")
		bob.must(nil, "public/a", "1", "public/b", "2", "public/d", "2", "public/c", "1") // b changed, d added
		// Ann's folder is as it was, and she has changed a.
		ann.refused("public/b (release 2 by bob); public/d (release 2 by bob)",
			"public/a", "3", "public/b", "1", "public/c", "1")
		// She has taken d over, and b in a form of her own.
		ann.must(nil, "public/a", "3", "public/b", "3", "public/c", "1", "public/d", "2")
		// What she has done herself she may undo, also what is not hers by now.
		ann.must(nil, "public/a", "1", "public/b", "3", "public/c", "1")
		// Bob's folder has neither a of release 3 nor of 4: what he has as it was before that is refused.
		bob.refused("public/b (release 3 by ann); public/d (release 4 by ann)",
			"public/a", "1", "public/b", "2", "public/d", "2", "public/c", "1")
		over := func(p *configsync.Publication) { p.Overwrite = true }
		bob.must(over, "public/a", "1", "public/b", "2", "public/d", "2", "public/c", "1")
		// By another key of the same name, as one that has taken the place of the old one.
		key, err := credential.NewKey("shop", bob.key.Name, time.Now().Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		mint(t, bob.n.manager, key)
		bob.key, bob.who = key, "bob elsewhere"
		bob.must(nil, "public/a", "1", "public/b", "2", "public/c", "1")
		// All that is compared with is kept: five contents, of which the nodes have three whole. With release 2, which
		// Bob has published once more, he went back from what Ann had made of it.
		bob.must(nil, "public/a", "1")
		bob.must(nil, "public/a", "2")
		time.Sleep(time.Second)
		bob.d.mu.Lock()
		defer bob.d.mu.Unlock()
		if len(bob.d.known) != 5 || len(bob.d.keep) != 3 {
			t.Errorf("%d manifests and %d contents are kept", len(bob.d.known), len(bob.d.keep))
		}
	})
}

// TestWhoIsThePublisher: the name of a credential says whose a release is, and not who it is said to be of; a
// publisher of whom the farm has nothing is told so; and when a credential is forgotten, who has published says it.
func TestWhoIsThePublisher(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ann, bob := publishers(t)
		ann.who, bob.who = "root@build", "root@build" // two pipelines, in containers
		ann.must(nil, "public/a", "1")
		bob.must(nil, "public/a", "1", "public/b", "1")
		ann.refused("public/b (release 2 by root@build)", "public/a", "1")
		bob.must(nil, "public/a", "1")
		bob.must(nil, "public/a", "1", "public/b", "1")

		key := func(name string) *credential.Key {
			t.Helper()
			k, err := credential.NewKey("shop", name, time.Now().Add(24*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			mint(t, bob.n.manager, k)
			return k
		}
		eve := &publisher{t, bob.n, bob.d, key("key of eve"), "root@eve"}
		_, err := eve.publish(nil, "public/a", "1")
		e, is := errors.AsType[*configsync.OverwriteError](err)
		if !is || e.Stranger != "key of eve" || !strings.Contains(err.Error(), `published by "key of eve"`) {
			t.Errorf("%v", err)
		}
		if _, err = ann.publish(nil, "public/a", "1"); !errors.As(err, &e) || e.Stranger != "" {
			t.Errorf("%v", err)
		}
		// Keys for one publication each, of one name.
		for i, files := range [][]string{{"public/a", "1", "public/b", "1", "public/c", "1"}, {"public/a", "1", "public/b", "1"}} {
			once := &publisher{t, bob.n, bob.d, key("ci"), fmt.Sprintf("root@runner-%d", i)}
			once.must(nil, files...)
			if err := bob.n.manager.Revoke(t.Context(), once.key.ID(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		bob.must(nil, "public/a", "1", "public/b", "1", "public/d", "1")
		if err := bob.n.manager.Revoke(t.Context(), bob.key.ID(), "", ""); err != nil {
			t.Fatal(err)
		}
		for range configsync.MaxCredentials {
			k := key("many")
			if err := bob.n.manager.Revoke(t.Context(), k.ID(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		bob.key = key("another key of bob")
		bob.must(nil, "public/a", "1", "public/b", "1")
	})
}

// TestTwoPublishersAtOnce: of two who publish at the same moment one is refused; when he tries again with the folder as
// it is, what the other has changed is named.
func TestTwoPublishersAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ann, bob := publishers(t)
		ann.must(nil, "public/a", "1", "public/b", "1")
		bob.must(nil, "public/a", "1", "public/b", "1", "public/bob", "1")
		results := make(chan error, 2)
		epoch := ann.n.manager.Status().Epoch
		at := func(p *configsync.Publication) { p.Epoch = epoch }
		of := map[*publisher]*configsync.Content{
			ann: ann.d.add(t, "public/a", "2", "public/b", "1", "public/bob", "1"),
			bob: ann.d.add(t, "public/a", "1", "public/b", "2", "public/bob", "1")}
		for p, c := range of {
			go func() {
				_, err := p.contents(at, c)
				results <- err
			}()
		}
		lost := 0
		for range of {
			if err := <-results; errors.Is(err, configsync.ErrConflict) || errors.Is(err, configsync.ErrBusy) {
				lost++
			} else if err != nil {
				t.Error(err)
			}
		}
		if lost != 1 || ann.n.manager.Status().Epoch != epoch+1 {
			t.Fatalf("%d were refused", lost)
		}
		again, names := ann, "public/b (release 3 by bob)"
		files := []string{"public/a", "2", "public/b", "1", "public/bob", "1"}
		if ann.n.manager.View(t.Context()).Release.Who == "ann" {
			again, names, files = bob, "public/a (release 3 by ann)", []string{"public/a", "1", "public/b", "2", "public/bob", "1"}
		}
		again.refused(names, files...)
	})
}

// TestTakenBackLater: going back is meant, and what comes after it is compared with what is in force again; a release that
// was kept for later is asked about when it is put in force; and the first publication of somebody is compared with all.
func TestTakenBackLater(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ann, bob := publishers(t)
		m := ann.n.manager
		ann.must(nil, "public/a", "1", "public/b", "1")
		bob.refused("public/a (release 1 by ann); public/b (release 1 by ann)", "public/c", "1") // he has none of it
		// With the config changed by hand in between.
		ann.n.set(t, configsync.Files{"site.yaml": "banner: By hand\n"})
		held := ann.must(func(p *configsync.Publication) { p.Hold = true }, "public/a", "2", "public/b", "1")
		bob.must(nil, "public/a", "1", "public/b", "2")
		lost, err := m.Overwritten(held.Release)
		if err != nil || lost == nil || len(lost.Files) != 1 || lost.Files[0].Path != "public/b" || lost.Files[0].Who != "bob" {
			t.Errorf("%+v, %v", lost, err)
		}
		// What she publishes later has taken over what Bob did, and the one that is kept has not.
		ann.must(nil, "public/a", "1", "public/b", "2", "public/e", "3")
		if lost, err := m.Overwritten(held.Release); err != nil || lost == nil || len(lost.Files) != 1 ||
			lost.Files[0].Path != "public/b" {
			t.Errorf("%+v, %v", lost, err)
		}
		// Ann goes back from what Bob has published: he may publish that again, mended.
		if _, err := m.Rollback(t.Context(), configsync.Write{Epoch: m.Status().Epoch, Who: "ann"}, 2); err != nil {
			t.Fatal(err)
		}
		if lost, err := m.Overwritten(held.Release); err != nil || lost != nil {
			t.Errorf("%+v, %v", lost, err)
		}
		bob.must(nil, "public/a", "1", "public/b", "2", "public/mended", "1")
	})
}
