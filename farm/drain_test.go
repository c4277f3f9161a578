package farm_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/forward"
)

// A drain can be taken back, by a program whose Serve goes on: the node serves again, and drains again.
func TestFarm_Undrain(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}}, nil).ready()
	if err := b.Undrain(); err != nil {
		t.Errorf("without a drain: %v", err)
	}
	served := func() string {
		var by who
		do(t, http.DefaultClient, "GET", "http://"+b.Addr()+"/who", &by)
		return by.Node
	}
	for range 2 {
		ended := make(chan error, 1)
		go func() { ended <- b.Drain(t.Context()) }()
		eventually(t, func() bool { return served() == "a" })
		if err := b.Undrain(); err != nil {
			t.Error(err)
		}
		if by := served(); by != "b" {
			t.Errorf("served by %s", by)
		}
		within(t, "Drain", func() {
			if err := <-ended; err != nil && !errors.Is(err, farm.ErrUndrained) {
				t.Errorf("Drain: %v", err)
			}
		})
	}
	within(t, "Drain", func() { b.Drain(t.Context()) }) // to its end
	if err := b.Undrain(); err != nil {
		t.Errorf("a drain that is over: %v", err)
	}
	eventually(t, func() bool { return served() == "b" })
	b.stop()
	within(t, "Serve", func() { <-b.err })
	if err := b.Undrain(); err == nil || !strings.Contains(err.Error(), "stops") {
		t.Errorf("after Serve: %v", err)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) with(what string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, what) {
			return line
		}
	}
	return ""
}

// A drain says how long it takes at most, and for whom; and at its end what it cuts off.
func TestFarm_DrainIsTold(t *testing.T) {
	t.Parallel()
	var log lines
	began := make(chan struct{}, 2)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			farm.Draining(r.Context()) // and takes no notice
		}
		began <- struct{}{}
		<-r.Context().Done()
	})
	f, err := farm.Open(farm.Config{HTTP: farm.None, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Forward: forward.Config{DrainTimeout: 300 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	srv := &http.Server{Handler: f.Handler(h)}
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	if err := f.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/events", "/slow"} {
		go func() {
			if res, err := http.Get("http://" + l.Addr().String() + path); err == nil {
				res.Body.Close()
			}
		}()
		<-began
	}
	if err := f.Drain(t.Context()); err == nil {
		t.Error("two handlers run, and Drain says nothing")
	}
	if line := log.with("draining"); !strings.Contains(line, "at_most=300ms requests=1 streams=1") {
		t.Errorf("the first word: %q", line)
	}
	want := `requests=1 streams=1 routes="[GET /events GET /slow]"`
	if line := log.with("drained"); !strings.Contains(line, want) {
		t.Errorf("the last word: %q", line)
	}
}
