// Plainserver is an application that keeps the http.Server it has: it wraps its handler with the farm's, and drains before
// it shuts down.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

var name = session.NewKey[string]("name")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains; a second one kills
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(farm.ExitCode(err))
	}
}

func run(ctx context.Context) error {
	cfg := farm.Flags(flag.CommandLine)
	flag.Parse()
	addr := cmp.Or(cfg.HTTP, "127.0.0.1:8080") // where our own server listens
	cfg.HTTP = farm.None                       // and the farm does not
	cfg.Session.Cookie.Insecure = true         // plain HTTP on loopback; leave it out behind HTTPS
	cfg.Forward.Linger = 2 * time.Second       // no load balancer here that needs longer to notice

	f, err := farm.Open(*cfg)
	if err != nil {
		return err
	}
	defer f.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /name", setName)
	mux.HandleFunc("GET /", greet)
	srv := &http.Server{Addr: addr, Handler: f.Handler(mux), ReadHeaderTimeout: 10 * time.Second}

	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServe() }()
	select {
	case err := <-ended:
		return err // the port is taken, for one
	case <-f.Cluster().Failed():
		return f.Cluster().Err() // the farm does not want this node
	case <-f.Left(): // an operator asked for it
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(f.Drain(grace), srv.Shutdown(grace))
}

func setName(w http.ResponseWriter, r *http.Request) {
	if err := name.Set(r.Context(), r.FormValue("name")); err != nil {
		farm.Error(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func greet(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello, %s\n", name.Or(r.Context(), "stranger"))
}
