package farm

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/internal/environ"
)

// Flags defines the flags of a node on fs and returns the Config that they fill when fs is parsed. A flag that is not
// given takes its value from the environment: FARM_HTTP for -http, and so on.
//
// Secrets come from the environment alone, because other users of a machine can read command lines: from FARM_SECRET,
// separated by commas, or from the file that FARM_SECRET_FILE names, separated by commas or lines. What is wrong in the
// environment is reported by Open. FARM_CONFIG_KEY_FILE names a file with Config.ConfigKeys, written the same way.
func Flags(fs *flag.FlagSet) *Config {
	c := &Config{}
	env := func(name string) string { return os.Getenv("FARM_" + name) }
	text := func(p *string, name, usage string) {
		variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		fs.StringVar(p, name, env(variable), usage+" [FARM_"+variable+"]")
	}
	text(&c.HTTP, "http", "public `address`; default 127.0.0.1:8080")
	text(&c.Peer, "peer", "`address` for the other nodes, TCP and UDP; default a free port on loopback")
	text(&c.Advertise, "advertise", "`address` by which others reach -peer, where that differs")
	text(&c.Admin, "admin", "`address` for health checks; default a free port on loopback; none = do not listen")
	text(&c.Dir, "dir", "data `directory`; default none: memory only")
	text(&c.Name, "name", "`name` of this node; default hostname-port")
	text(&c.Farm, "farm", "`name` of the farm, the same on all nodes; default webfarm")

	fs.Var(&environ.List{Items: &c.Join}, "join", "peer `addresses` of the nodes, this one's own among them or not, "+
		"by commas or by repeating the flag [FARM_JOIN]")
	fs.IntVar(&c.Cluster.Expect, "expect", 0, "`number` of nodes that found the farm together; default the length of -join "+
		"if that holds this node's own address [FARM_EXPECT]")
	fs.Var((*roleFlag)(&c.Role), "role", "`role` of this node: ordinary, front or staging [FARM_ROLE]")
	fs.Var(&proxiesFlag{list: &c.TrustedProxies, unix: &c.TrustUnix}, "trusted-proxies",
		"`addresses or networks` of proxies in front, by commas; unix = all on a unix socket [FARM_TRUSTED_PROXIES]")
	fs.BoolVar(&c.ProxyProtocol, "proxy-protocol", false,
		"trusted proxies begin each connection with a header of the PROXY protocol [FARM_PROXY_PROTOCOL]")
	fs.BoolVar(&c.ShowNodes, "show-nodes", false, "tell clients by X-Served-By which node has answered [FARM_SHOW_NODES]")
	fs.IntVar(&c.MaxConns, "max-conns", 0, "`number` of connections of clients; default half of the file descriptors [FARM_MAX_CONNS]")
	fs.IntVar(&c.MaxConnsPerClient, "max-conns-per-client", 0,
		"`number` of them that one address may have, or one network /64 of IPv6; default a quarter of all [FARM_MAX_CONNS_PER_CLIENT]")
	fs.DurationVar(&c.StallTimeout, "stall-timeout", 0, "how `long` a client that is waited for may make no progress; default 1m; "+
		"negative = for ever [FARM_STALL_TIMEOUT]")
	fs.BoolVar(&c.Supervised, "supervised", false,
		"a supervisor starts this program again when it ends with exit code 75 [FARM_SUPERVISED]")
	fs.BoolVar(&c.LeaveOnStop, "leave", false, "leave the farm for good when stopped [FARM_LEAVE]")

	fs.DurationVar(&c.Forward.DrainTimeout, "drain", 0, "how `long` a stop may take, at most: less than the "+
		"supervisor allows, which is 10s with Docker unless set; default 25s [FARM_DRAIN]")

	fs.BoolVar(&c.Dev, "dev", false, "for development: a farm of one on loopback, ready at once, its data kept in your cache directory [FARM_DEV]")
	fs.IntVar(&c.Nodes, "nodes", 0, "with -dev: `number` of processes of this program to start as a farm [FARM_NODES]")

	text(&c.PublishPath, "publish-path", "`path` such as /publish at which holders of credentials publish over HTTPS; "+
		"default none")
	text(&c.WatchSite, "watch-site", "with -role staging: `folder` of a site that this node shows to who has a token, "+
		"again whenever it has changed")
	fs.BoolVar(&c.WatchPublish, "watch-publish", false, "publish the folder of -watch-site whenever it has changed "+
		"[FARM_WATCH_PUBLISH]")
	text(&c.ConfigPath, "config", "with -dev: `file or folder` of configuration, which is read again when it changes")

	c.variables = variablesOf(fs)
	c.strangers = strangers(c.variables, os.Environ())
	c.problem = errors.Join(
		fromEnv(&environ.List{Items: &c.Join}, "FARM_JOIN"),
		intFromEnv(&c.Cluster.Expect, "FARM_EXPECT"),
		fromEnv((*roleFlag)(&c.Role), "FARM_ROLE"),
		fromEnv(&proxiesFlag{list: &c.TrustedProxies, unix: &c.TrustUnix}, "FARM_TRUSTED_PROXIES"),
		boolFromEnv(&c.ProxyProtocol, "FARM_PROXY_PROTOCOL"),
		boolFromEnv(&c.ShowNodes, "FARM_SHOW_NODES"),
		numberFromEnv(&c.MaxConns, "FARM_MAX_CONNS"),
		numberFromEnv(&c.MaxConnsPerClient, "FARM_MAX_CONNS_PER_CLIENT"),
		fromEnv((*durationFlag)(&c.StallTimeout), "FARM_STALL_TIMEOUT"),
		boolFromEnv(&c.Supervised, "FARM_SUPERVISED"),
		boolFromEnv(&c.LeaveOnStop, "FARM_LEAVE"),
		durationFromEnv(&c.Forward.DrainTimeout, "FARM_DRAIN"),
		boolFromEnv(&c.WatchPublish, "FARM_WATCH_PUBLISH"),
		boolFromEnv(&c.Dev, "FARM_DEV"),
		intFromEnv(&c.Nodes, "FARM_NODES"),
		c.secretsFromEnv(),
		c.configKeysFromEnv(),
	)
	return c
}

// variable finds the name of a flag's variable in its usage.
var variable = regexp.MustCompile(`\[(FARM_[A-Z_]+)\]$`)

// variablesOf returns the variables of the environment that a node reads: those of the flags, and those of the secret.
func variablesOf(fs *flag.FlagSet) []string {
	known := []string{"FARM_SECRET", "FARM_SECRET_FILE", "FARM_CONFIG_KEY_FILE"}
	fs.VisitAll(func(f *flag.Flag) {
		if m := variable.FindStringSubmatch(f.Usage); m != nil {
			known = append(known, m[1])
		}
	})
	slices.Sort(known)
	return known
}

// strangers returns the variables of environ, lines of NAME=value, that begin with FARM_ and are not known.
func strangers(known, environ []string) (out []string) {
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "FARM_") && !slices.Contains(known, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func fromEnv(v flag.Value, name string) error {
	s := os.Getenv(name)
	if s == "" {
		return nil
	}
	if err := v.Set(s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func boolFromEnv(p *bool, name string) error {
	s := os.Getenv(name)
	if s == "" {
		return nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%s: %q is neither true nor false", name, s)
	}
	*p = b
	return nil
}

func durationFromEnv(p *time.Duration, name string) error {
	s := os.Getenv(name)
	if s == "" {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%s: %q is no length of time, such as 8s", name, s)
	}
	*p = d
	return nil
}

func intFromEnv(p *int, name string) error {
	s := os.Getenv(name)
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("%s: %q is no number of nodes", name, s)
	}
	*p = n
	return nil
}

// numberFromEnv takes negative numbers, too.
func numberFromEnv(p *int, name string) error {
	s := os.Getenv(name)
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%s: %q is no number", name, s)
	}
	*p = n
	return nil
}

func (c *Config) secretsFromEnv() (err error) {
	c.Secrets, err = environ.Secrets()
	return err
}

func (c *Config) configKeysFromEnv() error {
	file := os.Getenv("FARM_CONFIG_KEY_FILE")
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("FARM_CONFIG_KEY_FILE: %w", err)
	}
	if c.ConfigKeys = environ.Fields(string(b)); c.ConfigKeys == nil {
		return fmt.Errorf("FARM_CONFIG_KEY_FILE: there is no key in %s; farmctl secret makes one", file)
	}
	return nil
}

// durationFlag is a length of time that may be negative.
type durationFlag time.Duration

func (d *durationFlag) String() string { return "" }

func (d *durationFlag) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no length of time, such as 8s", s)
	}
	*d = durationFlag(v)
	return nil
}

type roleFlag cluster.Role

func (r *roleFlag) String() string { return "" }

func (r *roleFlag) Set(s string) error {
	switch s {
	case "ordinary", "":
		*r = roleFlag(cluster.Ordinary)
	case string(cluster.Front), string(cluster.Staging):
		*r = roleFlag(s)
	default:
		return fmt.Errorf("%q is none of ordinary, front, staging", s)
	}
	return nil
}

// proxiesFlag is a list like environ.List, of networks; an address is a network of one. The word unix sets unix.
type proxiesFlag struct {
	list *[]netip.Prefix
	unix *bool
	used bool
}

func (p *proxiesFlag) String() string { return "" }

func (p *proxiesFlag) Set(s string) error {
	if !p.used {
		*p.list, *p.unix = nil, false
	}
	p.used = true
	for _, f := range environ.Fields(s) {
		if f == "unix" {
			*p.unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(f)
		if err != nil {
			a, err := netip.ParseAddr(f)
			if err != nil {
				return fmt.Errorf("%q is neither an address nor a network, nor the word unix", f)
			}
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
		*p.list = append(*p.list, prefix.Masked())
	}
	return nil
}
