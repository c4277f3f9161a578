package farm_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

// The program that the README begins with is examples/hello, which a test of the examples builds and runs.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("../examples/hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	block, _, _ := strings.Cut(rest, "```\n")
	if block != string(program) {
		t.Error("the first code block of README.md is not examples/hello/main.go")
	}
}

var visits = session.NewKey[int]("visits")

// The smallest farm: one node on loopback.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f, err := farm.Open(farm.Config{HTTP: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	r := f.Router()
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "visit %d\n", n)
	})
	served := make(chan error)
	go func() { served <- f.Serve(ctx, r) }()

	if err := f.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	res, err := http.Get("http://" + f.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	var n int
	fmt.Fscanf(res.Body, "visit %d", &n)
	fmt.Println("visit", n)

	cancel() // drains
	fmt.Println("served:", <-served)
	// Output:
	// visit 1
	// served: <nil>
}

// A node's flags and environment variables.
func ExampleFlags() {
	fs := flag.NewFlagSet("shop", flag.ContinueOnError)
	cfg := farm.Flags(fs)
	fs.Parse([]string{"-name", "n2", "-join", "10.0.0.1:7946,10.0.0.3:7946"})
	fmt.Println(cfg.Name, cfg.Join)
	// Output: n2 [10.0.0.1:7946 10.0.0.3:7946]
}

// An application that keeps its own http.Server.
func ExampleFarm_Handler() {
	f, err := farm.Open(farm.Config{HTTP: farm.None, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: f.Handler(http.NotFoundHandler())}
	go srv.ListenAndServe()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // when the program is told to stop
	defer cancel()
	fmt.Println(f.Drain(ctx), srv.Shutdown(ctx))
	// Output: <nil> <nil>
}
