package farm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/session"
)

func TestDev_Refuses(t *testing.T) {
	outside, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	for want, cs := range map[string][]Config{
		"for this machine alone": {{HTTP: ":8080"}, {HTTP: "0.0.0.0:80"}, {Peer: "10.0.0.1:7946"}, {Advertise: "[2001:db8::1]:1"},
			{Admin: "example.com:80"}, {Listener: outside}, {HTTP: ":8080", Nodes: 3}},
		"a farm of its own": {{Join: []string{"127.0.0.1:1"}}, {Role: cluster.Front}, {LeaveOnStop: true},
			{Cluster: cluster.Config{Expect: 3}}},
		"sets its nodes up itself": {{Nodes: 3, Name: "n"}, {Nodes: 2, Peer: "127.0.0.1:1"}, {Nodes: 2, Admin: "127.0.0.1:1"}},
		"a public port of its own": {{Nodes: 2, HTTP: None}},
		"1 to 9":                   {{Nodes: 10}, {Nodes: -1}},
		"FARM_X":                   {{problem: errors.New("FARM_X is wrong")}},
	} {
		for _, c := range cs {
			c.Dev, c.Logger = true, slog.New(slog.DiscardHandler)
			f, err := Open(c)
			if err == nil {
				f.Close()
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", c, err, want)
			}
		}
	}
	if _, err := Open(Config{Nodes: 3}); err == nil || !strings.Contains(err.Error(), "is for -dev") {
		t.Errorf("Nodes without Dev: %v", err)
	}
}

// A farm of one says where it is, and founds itself: that it does so without listening for others is shown in fake time by
// the script forming_alone_on_loopback of package cluster.
func TestDev_Alone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var out bytes.Buffer
	dir := filepath.Join(t.TempDir(), "data")
	c := Config{Dev: true, HTTP: taken.Addr().String(), Dir: dir, Logger: slog.New(slog.DiscardHandler),
		Session: session.Config{Cookie: session.Cookie{Name: "__Host-x", SameSite: http.SameSiteNoneMode}}}
	c, err = c.develop()
	if err != nil {
		t.Fatal(err)
	}
	c.Dev, c.dev.out = false, &out // done
	f, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if f.Addr() == taken.Addr().String() {
		t.Error("two have one port")
	}
	if ck := f.cfg.Session.Cookie; !ck.Insecure || ck.Name != "x" || ck.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %+v", ck)
	}
	f.Close() // waits for what writes to out
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, words := range []string{"http://" + f.Addr(), dir, "port " + port + " is taken", f.Cluster().Addr()} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("it does not say %q:\n%s", words, &out)
		}
	}
}

func TestDev_Dir(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(name, cache)
	}
	c, err := Config{Dev: true}.develop()
	if err != nil || !strings.HasPrefix(c.Dir, cache) || filepath.Base(c.Dir) != "1" || !c.dev.kept || c.Cluster.Expect != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = (Config{Dev: true, Dir: "mine"}).develop(); err != nil || c.Dir != "mine" || c.dev.kept {
		t.Errorf("%+v, %v", c, err)
	}
}

// A process that a launcher has started is who that says.
func TestDev_Child(t *testing.T) {
	t.Setenv("WEBFARM_DEV_NODE", `{"name":"n2","http":"127.0.0.1:1","peer":"127.0.0.1:2","join":["127.0.0.1:3","127.0.0.1:2"],"dir":"d"}`)
	c, err := Config{Dev: true, Nodes: 2, App: "a"}.develop()
	if err != nil || c.Name != "n2" || c.HTTP != "127.0.0.1:1" || c.Peer != "127.0.0.1:2" || len(c.Join) != 2 || c.Dir != "d" || c.App != "a" {
		t.Errorf("%+v, %v", c, err)
	}
	if c.dev.leash == nil || c.dev.alone || !c.Session.Cookie.Insecure {
		t.Errorf("%+v", c.dev)
	}
	t.Setenv("WEBFARM_DEV_NODE", "{")
	if _, err := (Config{Dev: true, Nodes: 2}).develop(); err == nil {
		t.Error("no error")
	}
	if c, err := (Config{Dev: true, Dir: "d"}).develop(); err != nil || c.Name == "n2" {
		t.Errorf("a farm of one: %+v, %v", c, err)
	}
}

// HTTPS is left as it is.
func TestDev_HTTPS(t *testing.T) {
	c, err := Config{Dev: true, Dir: "d", Server: &http.Server{TLSConfig: &tls.Config{}}}.develop()
	if err != nil || c.Session.Cookie.Insecure {
		t.Errorf("%+v, %v", c.Session.Cookie, err)
	}
}

// The logger that a program has set is used, and nothing is guessed then.
func TestDefaultLogger(t *testing.T) {
	if got := fmt.Sprintf("%T", slog.Default().Handler()); got != untouched {
		t.Fatalf("package slog begins with a %s: change untouched", got)
	}
	was := log.Writer()
	defer log.SetOutput(was)
	log.SetOutput(os.Stderr) // which is another file than at the start where "go test -json" runs this
	if _, ok := defaultLogger().Handler().(*slog.JSONHandler); !ok {
		info, _ := os.Stderr.Stat()
		if _, text := defaultLogger().Handler().(*slog.TextHandler); !text || info.Mode()&os.ModeCharDevice == 0 {
			t.Errorf("logs by %T", defaultLogger().Handler())
		}
	}
	before, flags := slog.Default(), log.Flags()
	defer func() { // SetDefault has redirected package log
		slog.SetDefault(before)
		log.SetFlags(flags)
	}()
	own := slog.New(slog.DiscardHandler)
	slog.SetDefault(own)
	if defaultLogger() != own {
		t.Error("the program's own logger is not used")
	}
}
