package main

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/farm"
)

//go:embed site
var embedded embed.FS

// ownSite is what the shop shows until something is published: the folder site, as it was when this was built.
func ownSite() fs.FS {
	own, err := fs.Sub(embedded, "site")
	if err != nil {
		panic(err) // the name is right
	}
	return own
}

// templates are the templates of each page.
type templates map[string]*template.Template

var pageNames = []string{"front", "cart", "farm", "work"}

func parse(files fs.FS) (templates, error) {
	t := templates{}
	for _, name := range pageNames {
		page, err := template.ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		t[name] = page
	}
	return t, nil
}

// checkContent refuses a content whose templates cannot be parsed: on every node before the switch, and in a pull
// request (shop farm check).
func checkContent(_ context.Context, files fs.FS) error {
	_, err := parse(files)
	return err
}

// mostParsed is how many contents there are at a time: around a switch there are requests of the one before.
const mostParsed = 2

// parsed keeps the templates of each content, so that they are parsed once and not for each request.
type parsed struct {
	farm *farm.Farm

	mu   sync.Mutex
	kept map[blob.Hash]templates // by the root of the content, zero for ownSite; guarded by mu
}

// of returns the templates of the release that ctx, of a request, sees.
func (p *parsed) of(ctx context.Context) (templates, error) {
	var root blob.Hash
	if m := p.farm.Configs().View(ctx).Manifest; m != nil {
		root = m.Root()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.kept[root]; t != nil {
		return t, nil
	}
	t, err := parse(p.farm.FS(ctx))
	if err != nil {
		return nil, err
	}
	if len(p.kept) >= mostParsed {
		clear(p.kept)
	}
	p.kept[root] = t
	return t, nil
}
