package farm

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/session"
)

func TestOpen_Refuses(t *testing.T) {
	machine := func() cluster.StateMachine { return keyring.NewMachine() }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, c := range map[string]Config{
		"Addr and Handler must be empty": {Server: &http.Server{Addr: ":80"}},
		"use Config.Farm":                {Cluster: cluster.Config{Farm: "f"}},
		"use Config.Role":                {Forward: forward.Config{Role: cluster.Front}},
		"are fields of Config":           {Forward: forward.Config{App: "a"}},
		`"keyring" is the name`:          {Cluster: cluster.Config{Levels: map[string]func([]byte) int{"keyring": session.CommandLevel}}},
		`"config" is the name`:           {Cluster: cluster.Config{Machines: map[string]func() cluster.StateMachine{"config": machine}}},
		"-config is for -dev":            {ConfigPath: "site.yaml"},
		`"session" is the name`:          {Cluster: cluster.Config{Machines: map[string]func() cluster.StateMachine{"session": machine}}},
		`"gate" is one of`:               {Cluster: cluster.Config{Tags: map[string]string{"gate": "ready"}}},
		"take the policy out":            {Keys: keyring.Keeping{Policies: map[string]keyring.Policy{"config": {}}}},
		"32 at least":                    {HTTP: "127.0.0.1:0", ConfigKeys: []string{"short"}},
		"Session.Keys must be nil":       {Session: session.Config{Keys: keyring.New(nil, nil)}},
		"which is it":                    {Listener: l, HTTP: None},
		"PUT /a/{":                       {Routes: []Route{{Pattern: "PUT /a/{"}}},
		"App, Routes, TrustedProxies":    {Forward: forward.Config{Routes: []Route{{Pattern: "/a"}}}},
		"LivePath":                       {Forward: forward.Config{LivePath: "x"}},
		"public port":                    {HTTP: l.Addr().String()},
		"admin port":                     {HTTP: "127.0.0.1:0", Admin: l.Addr().String()},
		"needs a secret":                 {HTTP: "127.0.0.1:0", Peer: "0.0.0.0:0"},
		"Name":                           {HTTP: "127.0.0.1:0", Name: strings.Repeat("x", 100)},
		"Config.Cookie":                  {HTTP: "127.0.0.1:0", Session: session.Config{Cookie: session.Cookie{Name: "a b"}}},
	} {
		c.Logger = slog.New(slog.DiscardHandler)
		f, err := Open(c)
		if err == nil {
			f.Close()
			t.Errorf("no error, want %q", want)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "farm: ") {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

// The template's fields are copied one by one, because an http.Server must not be copied; this finds a new one.
func TestServer_TemplateIsUsed(t *testing.T) {
	template := &http.Server{}
	v := reflect.ValueOf(template).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Name == "Addr" || field.Name == "Handler" {
			continue
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(42)
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value { panic("not called") }))
		default:
			t.Fatalf("field %s is a %v", field.Name, f.Kind())
		}
	}
	f := &Farm{cfg: Config{Server: template}, log: slog.Default()}
	got := reflect.ValueOf(f.server(http.NotFoundHandler(), context.Background(), &freshConns{})).Elem()
	for i := range got.NumField() {
		field := got.Type().Field(i)
		if !field.IsExported() || field.Name == "Addr" {
			continue
		}
		if got.Field(i).IsZero() {
			t.Errorf("http.Server.%s of the template is ignored", field.Name)
		}
		if k := field.Type.Kind(); k == reflect.Int64 && got.Field(i).Int() != 42 {
			t.Errorf("http.Server.%s is %v", field.Name, got.Field(i))
		}
	}
}

func TestServer_Defaults(t *testing.T) {
	f := &Farm{log: slog.Default()}
	srv := f.server(http.NotFoundHandler(), context.Background(), &freshConns{})
	if srv.ReadHeaderTimeout <= 0 || srv.IdleTimeout <= 0 || srv.ReadTimeout != 0 || srv.WriteTimeout != 0 || srv.TLSConfig != nil {
		t.Errorf("timeouts %+v", srv)
	}
}

func TestBaseContext(t *testing.T) {
	type key struct{}
	requests, end := context.WithCancelCause(context.Background())
	template := func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "mine") }
	ctx := baseContext(template, requests)(nil)
	if ctx.Value(key{}) != "mine" || ctx.Err() != nil {
		t.Errorf("value %v, %v", ctx.Value(key{}), ctx.Err())
	}
	end(ErrClosed)
	<-ctx.Done()
	if context.Cause(ctx) != ErrClosed {
		t.Errorf("cause %v", context.Cause(ctx))
	}
}

func TestPublicAddressForOthers(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for want, c := range map[string]Config{
		"10.0.0.1:" + port: {Advertise: "10.0.0.1:7946", Peer: "0.0.0.0:7946"},
		"host:" + port:     {Peer: "host:7946"},
		"[::]:" + port:     {Peer: ":7946"},
	} {
		f := &Farm{cfg: c, public: l}
		if got := f.publicURLHost(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Certificates of one's own go to the peer port as they are.
func TestPeerTLSReachesTheCluster(t *testing.T) {
	own := &tls.Config{ServerName: "own"}
	c := Config{Cluster: cluster.Config{PeerTLS: own}}.withDefaults()
	if got := c.clusterConfig("", map[string]func() cluster.StateMachine{}).PeerTLS; got != own {
		t.Errorf("the cluster gets %v", got)
	}
	c.Peer, c.Admin, c.HTTP = "127.0.0.1:0", None, None
	if f, err := Open(c); err == nil {
		f.Close()
		t.Error("a PeerTLS without a certificate was accepted")
	} else if !strings.Contains(err.Error(), "PeerTLS: there is no certificate") {
		t.Errorf("the error is %v", err)
	}
}
