package farm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm"
)

// orders has an operator give an order to the node called name, by way of another one.
func orders(t *testing.T, by *farm.Farm, name, word string) error {
	t.Helper()
	op, err := admin.New(admin.Config{Nodes: []string{by.Cluster().Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := op.Farm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, _ := seen.Find(name)
	return op.Order(t.Context(), m.ID, word)
}

// gateOf returns what a node says of its gate, as another one has heard.
func gateOf(by *farm.Farm, name string) string {
	for _, m := range by.Cluster().State().Members {
		if m.Name == name && m.Status == cluster.Alive {
			return m.Tags["gate"]
		}
	}
	return "unknown"
}

// An operator has a node drain and serve again; Serve goes on. What cannot be is refused, with the reason.
func TestFarm_OrderedToDrain(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	refused := func(name, word, want string) {
		t.Helper()
		if err := orders(t, a.Farm, name, word); !errors.Is(err, admin.ErrRefused) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s %s: %v, want %q", name, word, err, want)
		}
	}
	refused("a", "drain", "no other node")
	refused("a", "dance", `does not know the order "dance"`)
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}}, nil).ready()
	eventually(t, func() bool { return gateOf(a.Farm, "b") == "ready" && gateOf(b.Farm, "a") == "ready" })
	for range 2 {
		if err := orders(t, a.Farm, "b", "drain"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return gateOf(a.Farm, "b") == "drained" })
		var by who
		do(t, http.DefaultClient, "GET", "http://"+b.Addr()+"/who", &by)
		if by.Node != "a" || by.Via != "b" {
			t.Errorf("served %+v", by)
		}
		refused("a", "drain", "no other node")
		if err := orders(t, a.Farm, "b", "undrain"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return gateOf(a.Farm, "b") == "ready" })
		do(t, http.DefaultClient, "GET", "http://"+b.Addr()+"/who", &by)
		if by.Node != "b" {
			t.Errorf("served %+v", by)
		}
	}
	op, err := admin.New(admin.Config{Nodes: []string{b.Cluster().Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := op.At(b.Cluster().Addr()).Stats(t.Context())
	if want := `"name":"a","given":2,`; err != nil || !strings.Contains(string(got.Program), want) {
		t.Errorf("%v, an operator reads %s, want %s: two requests were forwarded to it", err, got.Program, want)
	}
}

// An operator's word ends Serve with ErrRestart, also on a node that drains already, or that leaves the farm when it
// is stopped. A program with a server of its own refuses.
func TestFarm_OrderedToRestart(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}, LeaveOnStop: true}, nil).ready()
	c := open(t, farm.Config{Name: "c", HTTP: farm.None, Join: []string{a.peer()}})
	c.Handler(app())
	within(t, "Ready", func() { c.Ready(t.Context()) })
	eventually(t, func() bool { return gateOf(a.Farm, "c") == "ready" && gateOf(a.Farm, "b") == "ready" })
	if err := orders(t, a.Farm, "c", "restart"); !errors.Is(err, admin.ErrRefused) ||
		!strings.Contains(err.Error(), "server of its own") {
		t.Errorf("c: %v", err)
	}
	if err := orders(t, a.Farm, "b", "drain"); err != nil {
		t.Error(err)
	}
	if err := orders(t, a.Farm, "b", "restart"); err != nil {
		t.Error(err)
	}
	orders(t, a.Farm, "b", "restart") // again: the same
	within(t, "Serve", func() {
		if err := <-b.err; err != farm.ErrRestart || farm.ExitCode(err) != 75 {
			t.Errorf("Serve: %v, exit code %d", err, farm.ExitCode(err))
		}
	})
	if err := b.Undrain(); err == nil {
		t.Error("undrained while it stops")
	}
}
