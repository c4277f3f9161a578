package farm

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/forward"
)

// Content returns the handler of what is published: the folder public of the release that the request sees, at the
// same paths. As long as no release has content, it is that of Config.Site. Mount it where the pages belong, most
// often at "/". It panics if Config.Site is no site folder: what a release would be refused for.
//
// Answers are the same on all nodes, ETags included; package configsync/content says what is in them.
func (f *Farm) Content() http.Handler {
	published := f.published()
	if f.cfg.Site == nil {
		return published
	}
	own, err := ownSite(f.cfg.Site)
	if err != nil {
		panic("farm: Config.Site: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.configs.View(r.Context()).Manifest == nil {
			own.ServeHTTP(w, r)
			return
		}
		published.ServeHTTP(w, r)
	})
}

// keepingUp has the client of a request see nothing older than it has seen, in pages that the program writes itself as
// in files: this node takes in first what it has missed, which most often is on its way, or another one answers. What
// no other node can take, such as a WebSocket, goes on here.
func (f *Farm) keepingUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.configs.Behind(r) && !f.configs.View(r.Context()).Preview && !f.keptUp(r) && forward.Decline(r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// keptUp reports whether this node has come to know shortly what the client of a request has seen.
func (f *Farm) keptUp(r *http.Request) bool {
	ctx, cancel := context.WithTimeout(r.Context(), shortly)
	defer cancel()
	return f.configs.CatchUp(ctx, r) == nil && !f.configs.Behind(r)
}

// published serves the content of releases. What a client has seen, and this node cannot show yet, another one shows.
func (f *Farm) published() http.Handler {
	serve := f.configs.Content()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.configs.View(r.Context()).Preview && f.configs.BehindContent(r) {
			f.elsewhere(w, r, errOvertaken)
			return
		}
		serve.ServeHTTP(w, r)
	})
}

var errOvertaken = errors.New("the client has a page of a newer release than this node")

// FS returns the files of the release that ctx, of a request or a job, sees: all of them, templates as well as what
// is public. As long as no release has content, they are those of Config.Site, or none.
func (f *Farm) FS(ctx context.Context) fs.FS {
	if f.cfg.Site != nil && f.configs.View(ctx).Manifest == nil {
		return f.cfg.Site
	}
	return f.configs.FS(ctx)
}
