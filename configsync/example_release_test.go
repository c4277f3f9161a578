package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// A farm opens the Manager, over its log; this one is a farm of one node.
func exampleManager(hooks ...configsync.Hook) *configsync.Manager {
	return exampleManagerOf(configsync.Settings{Prepare: hooks})
}

func exampleManagerOf(s configsync.Settings) *configsync.Manager {
	f := newFarm(1)
	s.Node, s.Configs, s.Log, s.Changed = "n1", []configsync.Declared{site}, f, f.changed[0]
	s.Local = func() *configsync.Machine { return f.machines[0] }
	s.Logger = slog.New(slog.DiscardHandler)
	m, err := configsync.New(s)
	if err != nil {
		panic(err)
	}
	return m
}

func ExampleManager_Publish() {
	m := exampleManager()
	defer m.Close()
	ctx := context.Background()
	r, err := m.Publish(ctx, configsync.Publication{
		Write:  configsync.Write{Epoch: 0, Who: "ci", Why: "summer sale"},
		Config: configsync.Files{"site.yaml": "banner: Sale!\n"},
	})
	fmt.Println(r.Epoch, site.Get(m.Context(ctx)).Banner, err)

	_, err = m.Publish(ctx, configsync.Publication{ // as if nobody had published meanwhile
		Write:  configsync.Write{Epoch: 0, Who: "me"},
		Config: configsync.Files{"site.yaml": "banner: Mine\n"},
	})
	fmt.Println(errors.Is(err, configsync.ErrConflict), site.Get(m.Context(ctx)).Banner)
	// Output:
	// 1 Sale! <nil>
	// true Sale!
}

func ExampleManager_Rollback() {
	m := exampleManager()
	defer m.Close()
	ctx := context.Background()
	for epoch, text := range []string{"banner: one\n", "banner: two\n"} {
		c := configsync.Change{Write: configsync.Write{Epoch: uint64(epoch)}, Set: configsync.Files{"site.yaml": text}}
		if _, err := m.Put(ctx, c); err != nil {
			fmt.Println(err)
		}
	}
	epoch, err := m.Rollback(ctx, configsync.Write{Epoch: 2, Who: "me", Why: "two was wrong"}, 1)
	fmt.Println(epoch, site.Get(m.Context(ctx)).Banner, err)
	// Output: 3 one <nil>
}

func ExampleManager_DryRun() {
	m := exampleManager()
	defer m.Close()
	r, err := m.DryRun(context.Background(), configsync.Publication{
		Config: configsync.Files{"site.yaml": "banner: Sale!\nlisten: \":443\"\n"},
	})
	for _, d := range r.Differences {
		fmt.Println(d.Field, d.Old, "->", d.New)
	}
	fmt.Printf("%q %v %v\n", r.Refused, r.Restart, err)
	// Output:
	// banner "Welcome" -> "Sale!"
	// listen ":1" -> ":443"
	// "" [site.listen] <nil>
}

// The new listener is there before the old one is closed, on every node, or nothing changes on any.
func ExampleConfig_OnPrepare() {
	var current net.Listener
	hook := site.OnPrepare(func(ctx context.Context, old, next *Site) (commit, abort func(), err error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", next.Listen)
		if err != nil {
			return nil, nil, err
		}
		commit = func() {
			if current != nil {
				current.Close()
			}
			current = l
		}
		return commit, func() { l.Close() }, nil
	})
	m := exampleManager(hook)
	defer m.Close()
	for _, address := range []string{"127.0.0.1:0", "nowhere"} {
		_, err := m.Put(context.Background(), configsync.Change{
			Write: configsync.Write{Epoch: m.Status().Epoch},
			Set:   configsync.Files{"site.yaml": "listen: " + address + "\n"},
		})
		fmt.Println(errors.Is(err, configsync.ErrRefused), site.Get(m.Context(context.Background())).Listen)
	}
	current.Close()
	// Output:
	// false 127.0.0.1:0
	// true 127.0.0.1:0
}

// A release is published now, and put in force later.
func ExampleManager_Activate() {
	m := exampleManager()
	defer m.Close()
	ctx := context.Background()
	show := func(r configsync.Result, err error) {
		fmt.Println(r.Epoch, r.Release, site.Get(m.Context(ctx)).Banner, err)
	}
	r, err := m.Publish(ctx, configsync.Publication{Hold: true,
		Config: configsync.Files{"site.yaml": "banner: Sale!\n"}})
	show(r, err)
	show(m.Activate(ctx, configsync.Write{Epoch: 0, Who: "me", Why: "it is June"}, r.Release, configsync.Plan{}))
	// Output:
	// 0 1 Welcome <nil>
	// 1 1 Sale! <nil>
}

// One node shows a release before the others do, until it is put in force, or ended.
func ExampleManager_StartCanary() {
	m := exampleManager() // n1
	defer m.Close()
	ctx := context.Background()
	held, _ := m.Publish(ctx, configsync.Publication{Hold: true,
		Config: configsync.Files{"site.yaml": "banner: Sale!\n"}})
	canary, err := m.StartCanary(ctx, configsync.Write{Epoch: 0, Who: "me"}, held.Release, []string{"n1"},
		configsync.Plan{})
	s := m.Status()
	fmt.Println(site.Get(m.Context(ctx)).Banner, s.Epoch, s.Canary, err)

	err = m.EndCanary(ctx, canary.Rollout, "me", "nobody likes it")
	s = m.Status()
	fmt.Println(site.Get(m.Context(ctx)).Banner, s.Epoch, s.Canary, err)
	// Output:
	// Sale! 0 true <nil>
	// Welcome 0 false <nil>
}

// A share of the clients is shown other content before all are. A client draws on its first page, and keeps what it has
// drawn in a cookie.
func ExampleManager_StartPercentCanary() {
	store := newDepot()
	first := func() content.Draw { return 1 } // of 10 000; otherwise it is by chance
	m := exampleManagerOf(configsync.Settings{Content: store, Pins: &content.Pins{Signer: testSigner{}, Draw: first}})
	defer m.Close()
	ctx := context.Background()
	m.Publish(ctx, configsync.Publication{Content: store.add(noT{}, "public/index.html", "Hello!")})
	w := configsync.Write{Epoch: 1, Who: "me"}
	held, _ := m.Publish(ctx, configsync.Publication{Write: w, Hold: true,
		Content: store.add(noT{}, "public/index.html", "Good morning!")})
	_, err := m.StartPercentCanary(ctx, w, held.Release, 10, configsync.Plan{})
	fmt.Println(m.Canary().Percent, err)

	var cookies []*http.Cookie
	for range 2 {
		r, a := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		for _, c := range cookies {
			r.AddCookie(c)
		}
		m.Handler(m.Content()).ServeHTTP(a, r)
		cookies = a.Result().Cookies()
		fmt.Println(a.Body)
	}
	// Output:
	// 10 <nil>
	// Hello!
	// Good morning!
}

// What became of a rollout, and on which nodes.
func ExampleManager_FollowRollout() {
	m := exampleManager()
	defer m.Close()
	setSite(m, "summer", "banner: Sale!\n")
	for p := range m.FollowRollout(context.Background(), 1) {
		fmt.Println(p.Rollout.Why, p.Rollout.Phase, p.Nodes[0].Node, p.Nodes[0].Step)
	}
	// Output: summer done n1 confirmed
}

// The content of a release is served by Content, and read by FS: all of it is of the release that the request sees.
func ExampleManager_FS() {
	store := newDepot()
	m := exampleManagerOf(configsync.Settings{Content: store})
	defer m.Close()
	root := store.add(noT{}, "public/index.html", "Hello!", "templates/mail.txt", "Dear {{.}}")
	ctx := context.Background()
	_, err := m.Publish(ctx, configsync.Publication{Content: root})
	fmt.Println(err)

	letter, err := fs.ReadFile(m.FS(m.Context(ctx)), "templates/mail.txt")
	fmt.Println(string(letter), err)
	w := httptest.NewRecorder()
	m.Handler(m.Content()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// <nil>
	// Dear {{.}} <nil>
	// 200 Hello!
}

// noT stands for a testing.T.
type noT struct{ testing.TB }

func (noT) Helper() {}
