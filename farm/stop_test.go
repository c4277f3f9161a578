package farm_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		ci.Latef(t, "%s does not return", what)
	}
}

// Serve is called once; a second call says so, whether the first still runs or not.
func TestFarm_ServeTwice(t *testing.T) {
	t.Parallel()
	s := serve(t, farm.Config{}, nil).ready()
	if err := s.Serve(t.Context(), app()); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("while the first runs: %v", err)
	}
	s.stop()
	if err := <-s.err; err != nil {
		t.Error(err)
	}
	if err := s.Serve(t.Context(), app()); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("after the first: %v", err)
	}
	s.Close()
	if err := s.Serve(t.Context(), app()); !errors.Is(err, farm.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Leave ends a running Serve: the node is no member any more.
func TestFarm_LeaveEndsServe(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}, LeaveOnStop: true}, nil).ready()
	within(t, "Leave", func() {
		if err := b.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-b.err:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		ci.Latef(t, "Serve goes on on a node that has left")
	}
	within(t, "a second Leave", func() {
		if err := b.Leave(t.Context()); err != nil {
			t.Errorf("second Leave: %v", err)
		}
	})
}

// askToLeave has an operator ask the node called name to leave, by way of another one.
func askToLeave(t *testing.T, by *farm.Farm, name string) {
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
	if err := op.Leave(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
}

// isMember reports whether f sees a member of that name that is configured.
func isMember(f *farm.Farm, name string) bool {
	return slices.ContainsFunc(f.Cluster().State().Members, func(m cluster.Member) bool { return m.Name == name && m.Vote != "" })
}

// An operator's word ends Serve, once the node has left.
func TestFarm_OperatorEndsServe(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Join: []string{a.peer()}}, nil).ready()
	askToLeave(t, a.Farm, "b")
	within(t, "Serve", func() {
		if err := <-b.err; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	select {
	case <-b.Left():
	default:
		t.Error("Serve returned before the node had left")
	}
	eventually(t, func() bool { return !isMember(a.Farm, "b") }) // what State tells may be a moment old
}

// A program with a server of its own is told when the node has left.
func TestFarm_OperatorEndsOwnServer(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a"}, nil).ready()
	b := open(t, farm.Config{Name: "b", HTTP: farm.None, Join: []string{a.peer()}})
	b.Handler(app())
	within(t, "Ready", func() {
		if err := b.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-b.Left():
		t.Error("left before anybody asked for it")
	default:
	}
	askToLeave(t, a.Farm, "b")
	within(t, "Left", func() { <-b.Left() })
	eventually(t, func() bool { return !isMember(a.Farm, "b") }) // what State tells may be a moment old
}

// Close, Drain and Leave in any order, and twice.
func TestFarm_StopInAnyOrder(t *testing.T) {
	t.Parallel()
	steps := map[byte]func(*farm.Farm) error{
		'c': func(f *farm.Farm) error { return f.Close() },
		'd': func(f *farm.Farm) error { return f.Drain(context.Background()) },
		'l': func(f *farm.Farm) error { return f.Leave(context.Background()) },
	}
	for _, order := range []string{"cdl", "cld", "dcl", "dlc", "lcd", "ldc", "ccddll", "llccdd", "ddcc"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			f := open(t, farm.Config{})
			f.Handler(app())
			if order[0] != 'c' {
				if err := f.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for i := range order {
				within(t, order[i:i+1], func() {
					err := steps[order[i]](f)
					if late := order[i] == 'l' && strings.IndexByte(order, 'c') < strings.IndexByte(order, 'l'); late {
						if !errors.Is(err, farm.ErrClosed) {
							t.Errorf("Leave after Close: %v", err)
						}
					} else if err != nil {
						t.Errorf("%c: %v", order[i], err)
					}
				})
			}
		})
	}
}

// All at once, on a node that serves.
func TestFarm_StopAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, farm.Config{}, nil).ready()
	within(t, "stopping", func() {
		done := make(chan struct{})
		for _, f := range []func(){
			func() { s.Close() }, func() { s.Close() }, func() { s.Drain(context.Background()) },
			func() { s.Leave(context.Background()) }, s.stop, func() { s.Ready(context.Background()) },
		} {
			go func() { f(); done <- struct{}{} }()
		}
		for range 6 {
			<-done
		}
		<-s.err
	})
}

// What is wrong on start is said in a sentence, and leaves nothing behind.
func TestOpen_InUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	dir := t.TempDir()
	other := open(t, farm.Config{Dir: dir, HTTP: farm.None})
	for _, c := range []struct {
		cfg  farm.Config
		want []string
	}{
		{farm.Config{HTTP: addr}, []string{"public port", addr, "in use"}},
		{farm.Config{HTTP: farm.None, Admin: addr}, []string{"admin port", addr, "in use"}},
		{farm.Config{HTTP: farm.None, Peer: addr}, []string{addr, "in use"}},
		{farm.Config{HTTP: farm.None, Peer: other.Cluster().Addr()}, []string{other.Cluster().Addr(), "in use"}},
		{farm.Config{HTTP: farm.None, Dir: dir}, []string{dir, "in use"}},
		{farm.Config{HTTP: farm.None, Peer: "0.0.0.0:0"}, []string{"secret", "openssl rand"}},
		{farm.Config{HTTP: farm.None, Secrets: []string{"short"}}, []string{"128"}},
		{farm.Config{HTTP: "nonsense"}, []string{"public port", "nonsense"}},
		{farm.Config{HTTP: farm.None, Join: []string{"nonsense"}}, []string{"nonsense"}},
	} {
		c.cfg.Logger = quiet
		f, err := farm.Open(c.cfg)
		if err == nil {
			f.Close()
			t.Errorf("%+v: opened", c.cfg)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		t.Log(err)
	}
}
