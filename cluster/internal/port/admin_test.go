package port

import (
	"errors"
	"io"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
)

// adminEnds returns both ends of connections for operating the farm "shop": node b's, and an operator's.
func adminEnds(t *testing.T) (server, client *trust.Admin) {
	t.Helper()
	tr, err := trust.New("shop", []string{secret})
	if err != nil {
		t.Fatal(err)
	}
	if server, err = tr.AdminServer("b"); err != nil {
		t.Fatal(err)
	}
	if client, err = tr.AdminClient(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// The one port serves nodes and operators, and lets neither in by the other's door.
func TestAdminListener(t *testing.T) {
	n := memnet.New()
	b, _ := openOn(t, n.Host("10.0.0.2"), ":7946", newID(t, "shop", secret, "b"))
	server, client := adminEnds(t)
	if _, err := DialAdmin(t.Context(), n.Host("10.0.0.9"), "10.0.0.2:7946", ProtoAdmin, client); err == nil {
		t.Error("an operator was let in where nobody listens for one")
	}
	l := b.AdminListener(ProtoAdmin, server)
	defer l.Close()

	c, err := DialAdmin(t.Context(), n.Host("10.0.0.9"), "10.0.0.2:7946", ProtoAdmin, client)
	if err != nil {
		t.Fatal(err)
	}
	at, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if id := PeerID(at); id != "" {
		t.Errorf("an operator passes for node %q", id)
	}
	at.Write([]byte("hello"))
	at.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()

	a, _ := openOn(t, n.Host("10.0.0.1"), ":0", newID(t, "shop", secret, "a"))
	if _, err := a.Dial(t.Context(), "10.0.0.2:7946", ProtoAdmin, "b"); !errors.Is(err, trust.ErrNotPeer) {
		t.Errorf("a node at the operators' door: %v", err)
	}
}

// What the program offers its operators is a door of its own, with the same guard.
func TestAdminListener_Program(t *testing.T) {
	n := memnet.New()
	b, _ := openOn(t, n.Host("10.0.0.2"), ":7946", newID(t, "shop", secret, "b"))
	server, client := adminEnds(t)
	l := b.AdminListener(ProtoProgram, server)
	defer l.Close()
	if _, err := DialAdmin(t.Context(), n.Host("10.0.0.9"), "10.0.0.2:7946", ProtoAdmin, client); err == nil {
		t.Error("the cluster's door is open, though only the program listens")
	}
	c, err := DialAdmin(t.Context(), n.Host("10.0.0.9"), "10.0.0.2:7946", ProtoProgram, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	at.Close()
	a, _ := openOn(t, n.Host("10.0.0.1"), ":0", newID(t, "shop", secret, "a"))
	if _, err := a.Dial(t.Context(), "10.0.0.2:7946", ProtoProgram, "b"); !errors.Is(err, trust.ErrNotPeer) {
		t.Errorf("a node at the operators' door: %v", err)
	}
}
