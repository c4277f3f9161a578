package farm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/once"
	"github.com/seed48eb2e21/webfarm/session"
)

// None as Config.HTTP or Config.Admin means: do not listen there.
const None = "none"

// Names of the replicated state machines of a farm; Config.Cluster.Machines may add others.
const (
	machineSession = "session"
	machineKeyring = "keyring"
	machineOnce    = "once"
	machineConfig  = "config"
)

const tagHTTP = "http" // gossiped: where a node's public listener is reached

// Config describes a node. The zero Config is a farm of one, in memory, on loopback. Open copies it; what is
// changed afterwards has no effect.
type Config struct {
	// Farm is the name of the cluster; "" = "webfarm". Nodes of another name are refused.
	Farm string

	// App is the name of the application. Requests are forwarded to nodes of the same App only, so that
	// several programs can share the sessions of one farm. "" is a name like any other.
	App string

	// Name is this node's name for people, unique among the live nodes; "" = hostname-port. In memory mode a
	// restarted node is recognised by it.
	Name string

	// HTTP is where clients connect; "" = 127.0.0.1:8080. None: the application has a server of its own, see
	// Handler.
	HTTP string

	// Peer is where other nodes connect, on TCP and UDP; "" = a free port on loopback.
	Peer string

	// Advertise is how others reach Peer; "" = the bound address.
	Advertise string

	// Admin answers the health paths; "" = a free port on loopback, see AdminAddr. None: do not listen.
	Admin string

	// Join holds peer addresses of nodes; one that answers is enough. With the same list on every machine,
	// this node's own address in it, the nodes of the list found a farm together; Cluster.Expect sets another
	// number of founders. Empty, on a node without state: found a farm alone.
	Join []string

	// Secrets authenticate the nodes to each other: the first is used, all are accepted. At least 128 bits.
	// May be empty while everything is on loopback. Certificates of your own take over the peer port by
	// Cluster.PeerTLS.
	Secrets []string

	// Dir is the data directory; "" = memory only. All nodes of a farm have one, or none.
	Dir string

	// Role is empty for a node that votes and serves; cluster.Front forwards every request, cluster.Staging
	// takes none.
	Role cluster.Role

	// Session says how sessions behave. Its Keys are the farm's own; an OnError that is nil means Error.
	Session session.Config

	// Keys says how often the keys change that sign sessions and what Protect returns, by purpose:
	// session.KeyPurpose, KeyPurpose, and others that the application has for itself. By default each signs for
	// 90 days and is accepted for 180 more; a session's for twice Session.Absolute; those of configsync.KeyPurpose
	// until an operator ends them, and that has no policy here. All nodes should say the same: whoever rotates a
	// key decides. Its Logger, if nil, is Logger.
	Keys keyring.Keeping

	// Configs are the configurations that the program has, each made by configsync.NewConfig. Handlers read
	// them by the request's context; operators change them for all nodes at once (farmctl config). A node
	// serves when it has the values that are in force.
	Configs []configsync.Declared

	// Prepare are hooks around a switch of the configuration, each made by the OnPrepare of one of Configs: what
	// takes long or can fail, such as a new pool of connections, is done before the switch, on every node; if it
	// fails on one, nothing is switched anywhere.
	Prepare []configsync.Hook

	// CheckContent reports whether the program can use the content of a release: it parses templates, for example. It
	// is called on every node before the switch; an error, a panic, or no return within 10 s refuses the release,
	// and then nothing changes anywhere. nil = any content will do.
	CheckContent func(ctx context.Context, files fs.FS) error

	// SelfCheck reports whether this node is well after a switch; it has 5 s. If nodes are not, the farm goes back
	// to the release before (farmctl publish -confirm). nil = GET / is answered with a status below 500.
	SelfCheck func(ctx context.Context) error

	// Site is what the program itself shows as long as no release has content: a site folder with public and whatever
	// else there is, most often embedded. nil = nothing.
	Site fs.FS

	// WatchSite, on a staging node, is a site folder which is looked at every second. When it has changed, and then nothing has for
	// two seconds, this node shows it to whoever has a token for that (farmctl preview draft); what is wrong with it
	// is in the log. "" = none.
	WatchSite string

	// WatchPublish has that folder published as well, each time. Otherwise somebody has to do it: farmctl publish.
	WatchPublish bool

	// ContentQuota is how many bytes the content of all releases that are kept may take on this node, in Dir/content,
	// or in a temporary folder without Dir; 0 = 16 GiB, negative = any number. 256 MiB of the disk stay free.
	ContentQuota int64

	// PublishPath is where holders of credentials publish on the public port (farmctl publish -url), such as
	// /publish: over HTTPS, or through a trusted proxy that says so, or on loopback. The application gets no request
	// at or below it. "" = nowhere: only operators publish, over the peer port.
	PublishPath string

	// ConfigPath, with Dev, is a file or a folder of configuration, read instead of what the farm has, and
	// again whenever it changes. "" = none.
	ConfigPath string

	// ConfigKeys, of 32 characters at least, are keys of yours which the farm does not store: secrets in the
	// configuration are sealed by the first as well as by the key ring, and opened by any. All nodes have the
	// same. nil = by the key ring alone, so that whoever has a data directory has the secrets.
	ConfigKeys []string

	// Cluster and Forward hold the settings for which there is no field here. What has one must be empty
	// there.
	Cluster cluster.Config
	Forward forward.Config

	// Server is a template for the public server: TLSConfig, timeouts, BaseContext, ErrorLog and so on are
	// used, Addr and Handler must be empty. With a TLSConfig the public port speaks HTTPS. nil = timeouts
	// against slow clients, no TLS.
	Server *http.Server

	// Listener takes the place of HTTP; the farm closes it. nil = listen on HTTP.
	Listener net.Listener

	// MaxConns is how many clients may be connected to HTTP at a time. When there are as many, the connection
	// that has waited longest for its next request is closed for a new one; one within a request never is. 0
	// = half of the file descriptors that the process may have (on Unix, RLIMIT_NOFILE when Open is called);
	// negative = no bound. A server of the application's own has to bound its connections itself.
	MaxConns int

	// MaxConnsPerClient is how many of them one client may have: one address, or one network /64 of IPv6.
	// When it has as many, one of its own that waits for its next request is closed for a new one; if all are
	// within requests, the new one is. 0 = a quarter of MaxConns; negative = no bound. Trusted proxies, and
	// unix sockets, have none.
	MaxConnsPerClient int

	// StallTimeout is how long a client of Serve may make no progress while it is waited for: while a handler
	// reads a body that does not come, and while an answer is not taken, 64 KiB of it at a time. Then its
	// request is cut off: the body ends with os.ErrDeadlineExceeded, and the connection of one that takes
	// nothing, or its stream of HTTP/2, is reset. Nobody is waited for between the events of a stream or the
	// messages of a WebSocket. A handler that sets a deadline for reading (http.ResponseController) waits as
	// long as that says; and for gRPC as long as it takes. 0 = one minute; negative = for ever.
	StallTimeout time.Duration

	// MinRate is how many bytes a second win waiting time back: a body that comes more slowly on average is
	// cut off as soon as it has cost StallTimeout. 0 = 512.
	MinRate int

	// TrustedProxies are the addresses of proxies in front of the farm, whose word about the client is
	// believed: X-Forwarded-For, X-Forwarded-Proto, X-Real-Ip, Forwarded and X-Request-Id. Everybody else's
	// is removed.
	TrustedProxies []netip.Prefix

	// TrustUnix makes trusted proxies of all who connect to a Listener that is a unix socket: its file's
	// permissions say who can. The word unix among the addresses of -trusted-proxies sets it.
	TrustUnix bool

	// ProxyProtocol says that trusted proxies begin each connection with a header of the PROXY protocol,
	// version 1 or 2, as those do that do not speak HTTP. One without it is closed. The client is then whom
	// the header names, and what its requests say counts for as much as that address does. From anybody else
	// no header is taken. Config.Server's ConnContext and ConnState see the proxy's connection.
	ProxyProtocol bool

	// ShowNodes tells clients the names of nodes: X-Served-By is the one whose handler has answered,
	// X-Served-Via the one that has taken the request from the client, if that was another one. Otherwise
	// clients learn no more than the request's id.
	ShowNodes bool

	// ReadyWithoutQuorum keeps a node ready, as the health path tells it, that has lost contact to the majority
	// of the farm. Otherwise it is not, from ten seconds after that on, so that a balancer sends no one to it; it
	// serves who comes all the same. Set it where the balancer would turn off the last server of the site.
	ReadyWithoutQuorum bool

	// Routes says what may be done with the requests of some routes when the node that had one is lost or
	// fails. nil = nothing that other requests are spared.
	Routes []Route

	// Supervised says that somebody starts this program again whenever it ends with exit code 75 (ExitCode): systemd,
	// Docker with a restart policy, Kubernetes. Without it no change of the configuration restarts all nodes at once:
	// they might all stay down. One after the other they are restarted all the same, since that stops at the first
	// that does not come back.
	Supervised bool

	// LeaveOnStop makes the end of Serve a Leave: this node is not coming back. For ErrRestart it does not leave.
	LeaveOnStop bool

	// Dev is for development, on loopback alone. It makes this node a farm of one that is ready at once; its
	// data is kept in the user's cache directory where Dir is "", its cookies go over plain HTTP, and where
	// its public port is taken it takes the next one. When it is ready it says on standard error where the
	// site is and what to try.
	Dev bool

	// Nodes, with Dev, is how many processes of this program are to make up the farm: 0 and 1 mean this one
	// alone. Otherwise Open starts so many, with this process's own arguments, and looks after them; see
	// Open. They take up to 9 ports from HTTP on, or from 127.0.0.1:8081.
	Nodes int

	// Logger; nil = slog.Default() where the program has set that (slog.SetDefault) or redirected package
	// log. Otherwise the standard error, as text on a terminal and as JSON elsewhere.
	Logger *slog.Logger

	dev       development
	problem   error    // found by Flags in the environment; reported by Open
	variables []string // that Flags reads, sorted
	strangers []string // variables that begin like those and that nobody reads, sorted; Open warns of them
}

func (c Config) withDefaults() Config {
	c.Farm = cmp.Or(c.Farm, "webfarm")
	c.HTTP = cmp.Or(c.HTTP, "127.0.0.1:8080")
	c.Admin = cmp.Or(c.Admin, "127.0.0.1:0")
	if c.Logger == nil {
		c.Logger = defaultLogger()
	}
	return c
}

func (c Config) validate() error {
	if c.problem != nil {
		return c.problem
	}
	if err := c.forwardConfig("", "").Validate(); err != nil {
		return err
	}
	if c.Server != nil && (c.Server.Addr != "" || c.Server.Handler != nil) {
		return errors.New("Config.Server is a template: its Addr and Handler must be empty; use Config.HTTP and Serve")
	}
	if c.Session.Keys != nil {
		return errors.New("Config.Session.Keys must be nil: the farm keeps a key ring for all its nodes")
	}
	if err := c.validatePublishPath(); err != nil {
		return err
	}
	if err := c.validateWatch(); err != nil {
		return err
	}
	if err := c.validateKeys(); err != nil {
		return err
	}
	if c.ConfigPath != "" && !c.Dev {
		return errors.New("-config is for -dev: the configuration of any other farm is the same on all nodes, see farmctl config")
	}
	if c.Listener != nil && c.HTTP == None {
		return errors.New("Config.Listener is set and Config.HTTP is none: which is it?")
	}
	if c.MinRate < 0 {
		return fmt.Errorf("Config.MinRate is %d bytes a second; a negative StallTimeout has clients take all the time they like", c.MinRate)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 && !c.TrustUnix {
		return errors.New("Config.ProxyProtocol is set, and nobody is trusted to speak it: set TrustedProxies, or TrustUnix")
	}
	return c.validateTwice()
}

func overUnix(conn net.Conn) bool {
	local := conn.LocalAddr()
	return local != nil && strings.HasPrefix(local.Network(), "unix")
}

// trusts reports whether the other end of a connection is a trusted proxy.
func (c Config) trusts(conn net.Conn) bool {
	if overUnix(conn) {
		return c.TrustUnix
	}
	remote := conn.RemoteAddr()
	if remote == nil {
		return false
	}
	a, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return false
	}
	ip := a.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// validateTwice complains about settings that were made in two places.
func (c Config) validateTwice() error {
	twice := map[string]bool{
		"Farm":      c.Cluster.Farm != "",
		"Name":      c.Cluster.Name != "",
		"Peer":      c.Cluster.Listen != "",
		"Advertise": c.Cluster.Advertise != "",
		"Join":      c.Cluster.Join != nil,
		"Secrets":   c.Cluster.Secrets != nil,
		"Dir":       c.Cluster.Dir != "",
		"Role":      c.Cluster.Role != "" || c.Forward.Role != "",
	}
	if p := c.Cluster.Program; p.Leave != nil || p.Order != nil || p.Ask != nil || p.Stats != nil {
		return errors.New("Config.Cluster.Program must be empty: the farm itself does what operators ask for; see Farm.Left")
	}
	for field, set := range twice {
		if set {
			return fmt.Errorf("use Config.%s and leave its like in Config.Cluster and Config.Forward empty", field)
		}
	}
	if f := c.Forward; f.ID != "" || f.Node != "" || f.App != "" || f.TrustedProxies != nil || f.TrustUnix || f.ShowNodes ||
		f.Routes != nil || f.Admits != nil {
		return errors.New("Config.Forward: ID, Node and Admits are filled in by Open; App, Routes, TrustedProxies, TrustUnix and ShowNodes " +
			"are fields of Config")
	}
	for _, name := range []string{machineSession, machineKeyring, machineOnce, machineConfig} {
		if c.Cluster.Machines[name] != nil || c.Cluster.Levels[name] != nil {
			return fmt.Errorf("Config.Cluster.Machines: %q is the name of the farm's own state machine", name)
		}
	}
	for _, tag := range []string{forward.TagApp, forward.TagGate, forward.TagHop, tagHTTP, tagReleases, tagEpoch} {
		if _, ok := c.Cluster.Tags[tag]; ok {
			return fmt.Errorf("Config.Cluster.Tags: %q is one of the farm's own tags", tag)
		}
	}
	return nil
}

// clusterConfig returns what package cluster is opened with. http is the public address to tell the others.
func (c Config) clusterConfig(http string, machines map[string]func() cluster.StateMachine) cluster.Config {
	cc := c.Cluster
	cc.Farm, cc.Name, cc.Dir, cc.Role = c.Farm, c.Name, c.Dir, c.Role
	cc.Listen, cc.Advertise, cc.Join, cc.Secrets = c.Peer, c.Advertise, c.Join, c.Secrets
	if cc.Logger == nil {
		cc.Logger = c.Logger
	}
	maps.Copy(machines, cc.Machines)
	cc.Machines = machines
	levels := map[string]func([]byte) int{machineSession: session.CommandLevel,
		machineKeyring: keyring.CommandLevel, machineOnce: once.CommandLevel, machineConfig: configsync.CommandLevel}
	maps.Copy(levels, cc.Levels)
	cc.Levels = levels
	tags := map[string]string{forward.TagApp: c.App, tagHTTP: http, tagReleases: knowsStrict}
	maps.DeleteFunc(tags, func(_, v string) bool { return v == "" })
	maps.Copy(tags, cc.Tags)
	cc.Tags = tags
	return cc
}

// forwardConfig returns what package forward is opened with.
func (c Config) forwardConfig(id, name string) forward.Config {
	fc := c.Forward
	fc.ID, fc.Node, fc.App, fc.Role, fc.TrustedProxies = id, name, c.App, c.Role, c.TrustedProxies
	fc.Routes = c.Routes
	fc.TrustUnix, fc.ShowNodes = c.TrustUnix, c.ShowNodes
	if c.Server != nil && fc.BaseContext == nil {
		fc.BaseContext = c.Server.BaseContext
	}
	if c.Server != nil && fc.ConnContext == nil {
		fc.ConnContext = c.Server.ConnContext
	}
	if fc.Logger == nil {
		fc.Logger = c.Logger
	}
	return fc
}

// sessionConfig returns what package session is opened with.
func (c Config) sessionConfig(keys session.Keys) session.Config {
	sc := c.Session
	sc.Keys = keys
	if sc.OnError == nil {
		sc.OnError = Error
	}
	if sc.Logger == nil {
		sc.Logger = c.Logger
	}
	return sc
}
