package farm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A staging node publishes a folder, and all nodes that serve switch to it at once.
func ExampleFarm_Publish() {
	bubble.Example(func(t *testing.T) {
		farmtest.Config{Handler: (*farm.Farm).Content, Configure: func(n *farmtest.Node, c *farm.Config) {
			if n.Name() == "n3" {
				c.Role = cluster.Staging
			}
		}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			staging := f.Nodes[2].Farm()
			site := fstest.MapFS{"public/index.html": {Data: []byte("Spring!")}} // or os.DirFS("site")
			res, err := staging.Publish(context.Background(), site, farm.Publication{Why: "spring"})
			fmt.Println(res.Epoch, err)
			f.AwaitEpoch(res.Epoch)
			for _, n := range f.Nodes[:2] {
				fmt.Println(n.Get("/"))
			}
		})
	})
	// Output:
	// 1 <nil>
	// 200 Spring!
	// 200 Spring!
}

// The program shows what it brings along until something is published.
func ExampleConfig_site() {
	bubble.Example(func(t *testing.T) {
		farmtest.Config{Nodes: 1, Handler: (*farm.Farm).Content, Configure: func(_ *farmtest.Node, c *farm.Config) {
			c.Site = fstest.MapFS{"public/index.html": {Data: []byte("Coming soon")}} // most often an embed.FS
		}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			fmt.Println(f.Nodes[0].Get("/"))
			_, err := f.Publish(fstest.MapFS{"public/index.html": {Data: []byte("Here it is")}})
			fmt.Println(err)
			fmt.Println(f.Nodes[0].Get("/"))
		})
	})
	// Output:
	// 200 Coming soon
	// <nil>
	// 200 Here it is
}

// Every node makes ready what a change needs, before any of them switches.
func ExampleConfig_prepare() {
	connect := func(_ context.Context, old, next *siteConfig) (commit, abort func(), err error) {
		if next.Max == 0 {
			return nil, nil, errors.New("no connection to the database")
		}
		return func() { fmt.Println("from now on", next.Max) }, func() { fmt.Println("not", next.Max) }, nil
	}
	bubble.Example(func(t *testing.T) {
		farmtest.Config{Nodes: 1, Configure: func(_ *farmtest.Node, c *farm.Config) {
			c.Configs = []configsync.Declared{siteOf}
			c.Prepare = []configsync.Hook{siteOf.OnPrepare(connect)}
		}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			for _, most := range []int{7, 0} {
				_, err := f.SetConfig("site", "max", most)
				fmt.Println(errors.Is(err, configsync.ErrRefused))
			}
		})
	})
	// Output:
	// from now on 7
	// false
	// true
}

// The farm goes back by itself if a node is not well after a switch.
func ExampleConfig_selfCheck() {
	bubble.Example(func(t *testing.T) {
		farmtest.Config{Configure: func(n *farmtest.Node, c *farm.Config) {
			c.Configs = []configsync.Declared{siteOf}
			c.SelfCheck = func(ctx context.Context) error { // nil = GET / must not be a 5xx
				if n.Name() == "n2" && siteOf.Get(n.Farm().Configs().Context(ctx)).Max > 5 {
					return errors.New("out of memory")
				}
				return nil
			}
		}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			for _, most := range []int{5, 6} {
				_, err := f.SetConfig("site", "max", most)
				fmt.Println(err)
			}
			m := f.Nodes[0].Farm().Configs()
			fmt.Println("in force:", siteOf.Get(m.Context(context.Background())).Max)
		})
	})
	// Output:
	// <nil>
	// configsync: taken back after the switch: not well: n2: self-check: out of memory
	// in force: 5
}

// Every node looks at the content before any of them switches.
func ExampleConfig_checkContent() {
	bubble.Example(func(t *testing.T) {
		farmtest.Config{Nodes: 1, Handler: mails, Configure: func(_ *farmtest.Node, c *farm.Config) {
			c.CheckContent = func(_ context.Context, files fs.FS) error {
				_, err := template.ParseFS(files, "templates/*.html")
				return err
			}
		}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			for _, text := range []string{"Dear {{.}}", "Dear {{.Name"} {
				_, err := f.Publish(fstest.MapFS{"templates/mail.html": {Data: []byte(text)}})
				fmt.Println(err)
			}
			fmt.Println(f.Nodes[0].Get("/"))
		})
	})
	// Output:
	// <nil>
	// refused, and nothing has changed: n1: content: template: mail.html:1: unclosed action
	// 200 Dear Ann
}

// mails shows the template of the release that a request sees.
func mails(f *farm.Farm) http.Handler {
	return farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		t, err := template.ParseFS(f.FS(r.Context()), "templates/*.html")
		if err != nil {
			return err
		}
		var page bytes.Buffer
		if err := t.Execute(&page, "Ann"); err != nil {
			return err
		}
		_, err = page.WriteTo(w)
		return err
	})
}
