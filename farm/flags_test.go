package farm

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// parse returns the Config that the environment and arguments make.
func parse(t *testing.T, env map[string]string, args ...string) (*Config, error) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "FARM_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := Flags(fs)
	return c, fs.Parse(args)
}

func TestFlags(t *testing.T) {
	c, err := parse(t, map[string]string{"FARM_HTTP": ":1", "FARM_NAME": "env", "FARM_JOIN": "a:1,b:1",
		"FARM_LEAVE": "true", "FARM_SUPERVISED": "true", "FARM_EXPECT": "5",
		"FARM_DRAIN": "1m"},
		"-name", "n1", "-peer", ":2", "-advertise", "h:2", "-admin", "none", "-dir", "d", "-farm", "f", "-role", "front",
		"-join", "x:1, y:1", "-join", "z:1", "-trusted-proxies", "10.1.2.3/8,unix,::1", "-expect", "3", "-show-nodes",
		"-proxy-protocol", "-drain", "8s", "-max-conns", "70", "-max-conns-per-client", "-1",
		"-stall-timeout", "-1s")
	if err != nil || c.problem != nil {
		t.Fatal(err, c.problem)
	}
	if c.HTTP != ":1" || c.Name != "n1" || c.Peer != ":2" || c.Advertise != "h:2" || c.Admin != None || c.Dir != "d" ||
		c.Farm != "f" || c.Role != cluster.Front || !c.LeaveOnStop || !c.Supervised || c.Cluster.Expect != 3 || !c.TrustUnix || !c.ShowNodes ||
		!c.ProxyProtocol || c.Forward.DrainTimeout != 8*time.Second || c.MaxConns != 70 || c.MaxConnsPerClient != -1 ||
		c.StallTimeout != -time.Second {
		t.Errorf("config %+v", c)
	}
	if !slices.Equal(c.Join, []string{"x:1", "y:1", "z:1"}) {
		t.Errorf("join %q: the flag takes the place of the environment", c.Join)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("proxies %v", c.TrustedProxies)
	}
}

func TestFlags_Environment(t *testing.T) {
	c, err := parse(t, map[string]string{"FARM_JOIN": "a:1,b:1", "FARM_EXPECT": "5", "FARM_ROLE": "staging", "FARM_TRUSTED_PROXIES": "10.0.0.1",
		"FARM_DRAIN": "1m"})
	if err != nil || c.problem != nil {
		t.Fatal(err, c.problem)
	}
	if !slices.Equal(c.Join, []string{"a:1", "b:1"}) || c.Role != cluster.Staging || len(c.TrustedProxies) != 1 || c.Cluster.Expect != 5 ||
		c.Forward.DrainTimeout != time.Minute {
		t.Errorf("config %+v", c)
	}
	if c, _ = parse(t, map[string]string{"FARM_TRUSTED_PROXIES": "unix"}, "-trusted-proxies", "10.0.0.1"); c.TrustUnix {
		t.Error("the flag takes the place of the environment")
	}
	if c, _ = parse(t, map[string]string{"FARM_JOIN": "a:1"}, "-join", ""); len(c.Join) != 0 {
		t.Errorf("join %q: an empty flag means none", c.Join)
	}
}

func TestFlags_Secrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("new\r\nold,older\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{{"FARM_SECRET": "new, old,older"}, {"FARM_SECRET_FILE": file}} {
		c, err := parse(t, env)
		if err != nil || c.problem != nil || !slices.Equal(c.Secrets, []string{"new", "old", "older"}) {
			t.Errorf("%v: %q, %v, %v", env, c.Secrets, err, c.problem)
		}
	}
	if c, err := parse(t, map[string]string{"FARM_CONFIG_KEY_FILE": file}); err != nil || c.problem != nil ||
		!slices.Equal(c.ConfigKeys, []string{"new", "old", "older"}) || len(c.strangers) > 0 {
		t.Errorf("%q, %v, %v", c.ConfigKeys, err, c.problem)
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	Flags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if strings.Contains(f.Name, "secret") {
			t.Errorf("-%s would put a secret on the command line", f.Name)
		}
	})
}

// What is wrong in the environment is an error of Open that names the variable; what is wrong in a flag, one of Parse.
func TestFlags_Wrong(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{
		{"FARM_ROLE": "king"},
		{"FARM_TRUSTED_PROXIES": "example.com"},
		{"FARM_LEAVE": "perhaps"},
		{"FARM_EXPECT": "some"},
		{"FARM_DRAIN": "10"},
		{"FARM_DRAIN": "-1s"},
		{"FARM_MAX_CONNS": "many"},
		{"FARM_STALL_TIMEOUT": "60"},
		{"FARM_PROXY_PROTOCOL": "v2"},
		{"FARM_SECRET": "a", "FARM_SECRET_FILE": empty},
		{"FARM_SECRET_FILE": empty},
		{"FARM_SECRET": " , "},
		{"FARM_CONFIG_KEY_FILE": empty},
		{"FARM_CONFIG_KEY_FILE": empty + "2"},
		{"FARM_SECRET_FILE": empty + "2"},
	} {
		c, err := parse(t, env)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(*c)
		if err == nil {
			f.Close()
			t.Fatalf("%v: no error", env)
		}
		for name := range env {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v: %v", env, err)
			}
		}
	}
	for _, args := range [][]string{{"-role", "king"}, {"-trusted-proxies", "x"}, {"-leave=perhaps"}, {"-expect", "some"}, {"-drain", "10"}} {
		if _, err := parse(t, nil, args...); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// A variable that nobody reads is a slip of somebody's: it is named once, beside those that there are.
func TestFlags_UnknownVariables(t *testing.T) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.String("color", "", "of the application's own, without a variable")
	c := Flags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		name := "FARM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if f.Name != "color" && !slices.Contains(c.variables, name) {
			t.Errorf("the usage of -%s does not name %s", f.Name, name)
		}
	})
	env := []string{"FARM_PEERS=x", "FARM_JOIN=a:1", "FARM_SECRET_FILE=f", "FARMER=y", "HOME=/", "FARM_HTPP=:80", "FARM_"}
	if got := strangers(c.variables, env); !slices.Equal(got, []string{"FARM_", "FARM_HTPP", "FARM_PEERS"}) {
		t.Errorf("unknown are %q", got)
	}
	t.Setenv("FARM_PEERS", "10.0.0.1:7946")
	c, err := parse(t, map[string]string{"FARM_PEERS": "10.0.0.1:7946"})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c.HTTP, c.Admin, c.Logger = None, None, slog.New(slog.NewTextHandler(&log, nil))
	f, err := Open(*c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(log.String(), "FARM_PEERS"); got != 1 || !strings.Contains(log.String(), "FARM_PEER ") {
		t.Errorf("%d warnings in\n%s", got, &log)
	}
}
