// Configured is what docs/configuration.md is about: a server that reads all kinds of configuration. Its tests
// run every command of that guide.
//
//	go run ./examples/configured -dev -config site.yaml
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmctl"
)

type Site struct {
	Banner   string         `json:"banner"`
	Prices   map[string]int `json:"prices"` // cents, by SKU
	Limits   Limits         `json:"limits"`
	Listen   string         `json:"listen" reload:"restart"` // has its effect when the program starts again
	Payments Payments       `json:"payments"`
}

type Payments struct {
	URL string            `json:"url"`
	Key configsync.Secret `json:"key"`
}

var site = configsync.NewConfig("site", Site{
	Banner: "Welcome",
	Limits: Limits{Items: 20, Timeout: 5 * time.Second},
	Listen: ":9000",
})

var configs = []configsync.Declared{site}

type Limits struct {
	Items   int           `json:"items"`
	Timeout time.Duration `json:"timeout"`
}

// Validate is asked before anything changes, for what every kind of node would get.
func (l Limits) Validate() error {
	if l.Items < 1 || l.Items > 1000 {
		return fmt.Errorf("items is %d; 1 to 1000 are possible", l.Items)
	}
	return nil
}

func front(w http.ResponseWriter, r *http.Request) {
	c := site.Get(r.Context()) // the same for the whole request, whatever is switched meanwhile
	fmt.Fprintln(w, c.Banner, c.Prices["tea"])
}

func pay(r *http.Request) (*http.Request, error) {
	p := site.Get(r.Context()).Payments
	req, err := http.NewRequestWithContext(r.Context(), "POST", p.URL, nil)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+p.Key.Reveal())
	}
	return req, err
}

// resize has a pool follow the configuration, outside of requests.
func resize(ctx context.Context, m *configsync.Manager, pool interface{ Resize(int) }) {
	for v := range site.Follow(m.Context(ctx)) { // what is in force now, and then each change
		pool.Resize(v.Value.Limits.Items)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "farm" {
		os.Exit(farmctl.Program{Name: "shop farm", Configs: configs}.Main(os.Args[2:]))
	}
	cfg := farm.Flags(flag.CommandLine)
	flag.Parse()
	cfg.Configs = configs

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *cfg); err != nil {
		fmt.Fprintln(os.Stderr, "configured:", err)
		os.Exit(farm.ExitCode(err))
	}
}

// pool is something that has a size.
type pool struct{}

func (pool) Resize(n int) { fmt.Println("the pool has the size", n) }

func serve(ctx context.Context, cfg farm.Config) error {
	f, err := farm.Open(cfg)
	if err != nil {
		return err
	}
	defer f.Close()
	go resize(ctx, f.Configs(), pool{}) // ends with ctx
	mux := http.NewServeMux()
	mux.HandleFunc("/", front)
	mux.HandleFunc("/pay", func(w http.ResponseWriter, r *http.Request) {
		req, err := pay(r)
		if err = errors.Join(err, r.Context().Err()); err != nil {
			http.Error(w, "nobody to pay to", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "would ask", req.URL)
	})
	return f.Serve(ctx, mux)
}
