package configsync_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
)

var sink *Site

// BenchmarkGet and BenchmarkLoad count to b.N, because b.Loop itself takes as long as they do.
func BenchmarkGet(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	ctx := m.Context(context.Background())
	b.ReportAllocs()
	for range b.N {
		sink = site.Get(ctx)
	}
}

func BenchmarkLoad(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	ctx := m.Context(context.Background())
	b.ReportAllocs()
	for range b.N {
		sink = site.Load(ctx)
	}
}

// BenchmarkGetBelowThreeContexts is what a handler pays that other middlewares have given contexts of theirs.
func BenchmarkGetBelowThreeContexts(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	ctx := m.Context(context.Background())
	for range 3 {
		ctx = context.WithValue(ctx, new(int), 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		sink = site.Get(ctx)
	}
}

func BenchmarkGetInSection(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	put(b, m, "site.yaml", "paths: {/a/: {banner: a}, /b/: {banner: b}, /shop/tea/: {banner: c}}")
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b.ReportAllocs()
		for b.Loop() {
			sink = site.Get(r.Context())
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/shop/x/y", nil))
}

func BenchmarkHandler(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		sink = site.Get(r.Context())
	}))
	r := httptest.NewRequest("GET", "/shop/x/y", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nil, r)
	}
}

// BenchmarkSwitch is a switch of one node: the check, the command, and new values.
func BenchmarkSwitch(b *testing.B) {
	m := newFarm(1).open(b, 0, configsync.Settings{})
	texts := []string{"banner: one\nprices: {tea: 300, mead: 400}\n",
		"banner: two\nprices: {tea: 301, mead: 400}\n"}
	i := 0
	for b.Loop() {
		put(b, m, "site.yaml", texts[i%2])
		i++
	}
}
