// Hello counts the visits of a session, on one node or on many.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

var visits = session.NewKey[int]("visits") // a typed session value

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains; a second one kills
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(farm.ExitCode(err))
	}
}

func run(ctx context.Context) error {
	cfg := farm.Flags(flag.CommandLine) // -dev -http -peer -join -dir ..., and FARM_* in the environment
	flag.Parse()

	f, err := farm.Open(*cfg) // binds its ports and starts; does not wait for the others
	if err != nil {
		return err
	}
	defer f.Close()

	r := f.Router() // a plain chi router; any http.Handler will do
	r.Get("/", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		if err != nil {
			return err // answered by farm.Error: the right status, and a page that says what to do
		}
		fmt.Fprintf(w, "visit %d\n", n)
		return nil
	}))
	return f.Serve(ctx, r) // blocks; drains when ctx ends
}
