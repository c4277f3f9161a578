package configsync

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strings"

	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// view is a context that knows what is in force for it, or a value in such a context.
type view struct {
	context.Context            // nil in a value
	in              *switching // of the Manager that has made it
	snapshot        *snapshot
	path            string // of the request, clean; "" outside of requests
	preview         bool   // snapshot is not what is in force, also for Load
}

type viewKey struct{}

// Value returns the view under its key and what the outer context holds under any other.
func (v *view) Value(key any) any {
	if key == (viewKey{}) {
		return v
	}
	return v.Context.Value(key)
}

// Format writes what it is, whatever the verb: fmt would look into everything.
func (v *view) Format(f fmt.State, _ rune) { io.WriteString(f, v.String()) }

// String returns what it is; package context asks for it when a context made from this one is printed.
func (v *view) String() string { return "context with a view of the configuration" }

// LogValue returns what it is.
func (v *view) LogValue() slog.Value { return slog.StringValue(v.String()) }

// Context returns a context for what runs outside of requests, such as a job: Get returns what is in force
// now, for as long as the context is used, and Load the newest. Values for paths of URLs have no part in it.
func (m *Manager) Context(parent context.Context) context.Context {
	return &view{Context: parent, in: m.switching, snapshot: m.switching.used(m.switching.glance())}
}

// exchange is one request on its way through Handler whose context takes no view: all that it allocates, in one
// piece.
type exchange struct {
	view
	request http.Request // what the handler gets
}

// Handler returns next with a view of the release for each request: what is in force when it comes in, or the release
// that its client's share is shown, and of configs what holds for its path. It is a middleware. Inside another
// Handler of the same Manager it does nothing; without configs and content it is next.
func (m *Manager) Handler(next http.Handler) http.Handler {
	if len(m.declared) == 0 && m.settings.Content == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if outer, ok := r.Context().Value(viewKey{}).(*view); ok && outer.in == m.switching {
			next.ServeHTTP(w, r)
			return
		}
		v := view{in: m.switching, snapshot: m.switching.lookFor(r), path: clean(r.URL.Path)}
		if reqcopy.Takes(r) {
			if added := v; reqcopy.Add(r, viewKey{}, &added) {
				next.ServeHTTP(w, r)
				return
			}
		}
		v.Context = r.Context()
		x := &exchange{view: v}
		reqcopy.Share(r)
		x.request = *r.WithContext(&x.view) // which copies it to where it need not be allocated
		defer reqcopy.Return(r, &x.request)
		next.ServeHTTP(w, &x.request)
	})
}

// preview returns a request that sees a snapshot which is not in force.
func (sw *switching) preview(r *http.Request, s *snapshot) *http.Request {
	v := &view{Context: r.Context(), in: sw, snapshot: s, path: clean(r.URL.Path), preview: true}
	return r.WithContext(v)
}

// clean returns a path without what could lead around a section: empty parts, . and .. in it. The slash at
// its end stays.
func clean(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	out := path.Clean(p)
	if last := p[strings.LastIndexByte(p, '/')+1:]; (last == "" || last == "." || last == "..") && out != "/" {
		out += "/"
	}
	return out
}
