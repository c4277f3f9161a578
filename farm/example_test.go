package farm_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	r.Get("/", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "visit %d\n", n)
		return nil
	}))
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

// A handler that returns what goes wrong. Of an error that nobody has a sentence for, the visitor is told nothing.
func ExampleHandlerFunc() {
	books := map[string]string{"1": "Middlemarch"}
	h := farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		title, ok := books[r.PathValue("id")]
		if !ok {
			return farm.Problem{Status: http.StatusNotFound, Detail: "There is no such book."}
		}
		fmt.Fprintln(w, title)
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("GET /books/{id}", h)
	for _, path := range []string{"/books/1", "/books/2"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 Middlemarch
	// 404 Not Found: There is no such book.
}

func ExampleError() {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/cart", nil)
	r.Header.Set("Accept", "application/json")
	farm.Error(w, r, fmt.Errorf("cart: %w", session.ErrConflict))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Print(w.Body)
	// Output:
	// 409 application/problem+json
	// {"title":"Conflict","status":409,"detail":"Too many changes of the same thing were under way, and this one was not made. Please try again."}
}

// Server-sent events that end when the node is about to stop; the browser connects anew, to a node that
// stays.
func ExampleEvents() {
	ticks := farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		events, err := farm.Events(w, r)
		if err != nil {
			return err
		}
		defer events.Close()
		events.Send(farm.Event{Name: "tick", Data: "1"}) // and so on, until:
		<-events.Context().Done()
		if context.Cause(events.Context()) == farm.ErrDraining {
			events.Send(farm.Event{Name: "bye"})
		}
		return nil
	})
	f, err := farm.Open(farm.Config{HTTP: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	ctx, stop := context.WithCancel(context.Background()) // ends when the program is told to stop
	defer stop()
	served := make(chan error)
	go func() { served <- f.Serve(ctx, ticks) }()
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
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			fmt.Println(name)
		}
		if in.Text() == "event: tick" {
			stop()
		}
	}
	fmt.Println("served:", <-served)
	// Output:
	// tick
	// bye
	// served: <nil>
}

// Long work that stops early, with what there is, when the node is about to stop.
func ExampleDraining() {
	report := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "part 1")
		http.NewResponseController(w).Flush()
		for {
			select {
			case <-farm.Draining(r.Context()):
				fmt.Fprintln(w, "to be continued")
				return
			case <-r.Context().Done(): // the client has gone
				return
			case <-time.After(time.Minute): // the next part takes its time
				fmt.Fprintln(w, "and so on")
			}
		}
	}
	f, err := farm.Open(farm.Config{HTTP: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	ctx, stop := context.WithCancel(context.Background()) // ends when the program is told to stop
	defer stop()
	served := make(chan error)
	go func() { served <- f.Serve(ctx, http.HandlerFunc(report)) }()
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
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		fmt.Println(in.Text())
		stop() // the node drains, and the handler says goodbye
	}
	fmt.Println("served:", <-served)
	// Output:
	// part 1
	// to be continued
	// served: <nil>
}
