package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// Config says how a node takes part in a cluster. The zero Config is a farm of one, in memory, on loopback.
// It is copied by Open; nothing in it may be changed afterwards.
type Config struct {
	// Farm is the name of the cluster; "" means "webfarm". Nodes of another name are refused.
	Farm string

	// Name is this node's name for people, unique among the live nodes; at most 64 bytes. "" means
	// hostname-port, or the NodeID with PeerTLS. In memory mode it is also what a restarted node is
	// recognised by, so keep it the same.
	Name string

	// Dir is the data directory; it belongs to one node alone. "" means memory mode: the state lives as long
	// as a majority of the nodes does. All nodes of a farm have one, or none.
	Dir string

	// Listen is the peer port, host:port, TCP and UDP on the same number; "" means 127.0.0.1:0.
	Listen string

	// Advertise is the host:port by which others reach Listen; "" means the bound address, or, where that is
	// unspecified, the first private address of this machine.
	Advertise string

	// Join holds peer addresses of members, host:port; one that answers is enough. The same list on every
	// machine is fine: a node knows its own address in it. See Expect for who founds the farm. Names are
	// resolved at each attempt.
	Join []string

	// Expect is how many ordinary nodes found the farm together: they wait until so many see each other, and
	// user writes wait until enough of them vote. 0 means the length of Join if that holds this node's own
	// address, so the same list on every machine is all it takes; 1 if Join is empty; and never to found if
	// Join names others only, or by a name that stands for several nodes: how many cannot be known from it.
	// It must be set where Join holds addresses of Front or Staging nodes, which found none.
	// All founders must expect the same number, and it must be a majority of the machines there are. A node
	// without state listens for three seconds first whether there is a farm that knows it. Only one on
	// loopback with a data directory, an empty Join and Expect 1 founds at once.
	Expect int

	// Secrets authenticate the members and encrypt what they say: the first one is used, all are accepted.
	// Empty is refused unless the peer port is on loopback. To change it, restart every node with [old, new],
	// then every node with [new, old], then with [new].
	Secrets []string

	// PeerTLS takes the certificates on the peer port from a PKI of your own; nil means that they are made
	// from Secrets. Every node's certificate must name its farm and its NodeID by the URI
	// webfarm://peer/FARM/node/ID, the ID of letters, digits, '-' and '_' and unique in the farm, and be good
	// for server and client authentication. RootCAs or ClientCAs hold the authorities; one that is nil is the
	// other. Certificates, GetCertificate, GetClientCertificate (one is enough for both roles),
	// GetConfigForClient, Time, VerifyPeerCertificate and VerifyConnection do what they always do, for each
	// connection: so a certificate can be renewed while the node runs. Secrets are needed all the same, for
	// the gossip packets. All nodes of a farm have PeerTLS or none; a data directory cannot change over.
	PeerTLS *tls.Config

	// Role is Ordinary for a node that may vote.
	Role Role

	// Version is that of the application, shown to others; at most 32 bytes. "" means the revision in version
	// control that the program was built from, where the build says so ("go build" in a checkout does, "go
	// run" does not).
	Version string

	// Tags are small facts about this node, gossiped to all; see SetTag.
	Tags map[string]string

	// Machines holds a factory for each replicated state machine, by name. Every node of a farm has the same
	// ones. A factory is called whenever the node starts a Raft instance, and whenever a snapshot is
	// restored: the machines that take it up are new ones, which take the place of all others at one moment,
	// so local reads see all of it or nothing.
	Machines map[string]func() StateMachine

	// Levels holds, by a state machine's name, a function that says which protocol level a command of it
	// needs, and, asked with nil, which one the machine itself needs. What every program knew since there are
	// levels needs 1; so does a machine that has no function here. A machine, or a kind of command, that a
	// program of an earlier release lacks would end the nodes which still run that one: so Propose refuses
	// it, by ErrLevel, as long as the farm works at a lower level, and until then the machine has no part in
	// snapshots. The function is called by many goroutines, must not keep cmd, and answers the same for the
	// same command, always and on every node.
	Levels map[string]func(cmd []byte) int

	// Tuning holds what few farms change; its zero value is right for most.
	Tuning Tuning

	// Program holds what operators have the program on this node do, or tell; the zero value does nothing.
	Program Program

	// Network is how the node reaches the network; nil means the operating system's.
	Network Network

	// Logger is where the node logs; nil means slog.Default().
	Logger *slog.Logger
}

// Network is how a node listens and dials. Addresses are host:port with an IP address for a host.
type Network = port.Network

func (c Config) withDefaults() Config {
	if c.Farm == "" {
		c.Farm = "webfarm"
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Version == "" {
		c.Version = programVersion()
	}
	c.Tuning = c.Tuning.withDefaults(c.Dir != "")
	if c.Network == nil {
		c.Network = port.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Join, c.Secrets, c.Tags = slices.Clone(c.Join), slices.Clone(c.Secrets), maps.Clone(c.Tags)
	return c
}

func (c Config) validate(maxLevel byte) error {
	for _, check := range []func() error{c.validFacts, c.validMachines,
		func() error { return c.validLevels(maxLevel) }, c.Tuning.validate, c.validAddrs, c.validSecrets} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validFacts checks what a node says of itself.
func (c Config) validFacts() error {
	switch {
	case len(c.Farm) > roster.MaxName:
		return fmt.Errorf("Farm has %d bytes; at most %d are allowed", len(c.Farm), roster.MaxName)
	case len(c.Name) > roster.MaxName:
		return fmt.Errorf("Name has %d bytes; at most %d are allowed", len(c.Name), roster.MaxName)
	case !printable(c.Farm):
		return fmt.Errorf("Farm is %q; it must be printable text", c.Farm)
	case !printable(c.Name):
		return fmt.Errorf("Name is %q; it must be printable text", c.Name)
	case len(c.Version) > roster.MaxVersion:
		return fmt.Errorf("Version has %d bytes; at most %d are allowed", len(c.Version), roster.MaxVersion)
	case c.Expect < 0:
		return fmt.Errorf("Expect is %d; it must not be negative", c.Expect)
	case !c.Role.valid():
		return fmt.Errorf("Role %q is none of \"\", %q, %q", c.Role, Front, Staging)
	}
	return nil
}

func (c Config) validMachines() error {
	for name, factory := range c.Machines {
		if name == "" || len(name) > 255 {
			return fmt.Errorf("a state machine's name must have 1 to 255 bytes, %q has not", name)
		}
		if factory == nil {
			return fmt.Errorf("Machines[%q] is nil; it must make a state machine", name)
		}
	}
	return nil
}

func (c Config) validAddrs() error {
	if err := validAddr("Listen", c.Listen); err != nil {
		return err
	}
	for i, j := range c.Join {
		if err := validAddr("Join", j); err != nil {
			return err
		}
		if slices.Contains(c.Join[:i], j) {
			return fmt.Errorf("Join has %s twice; the length of the list is the number of nodes that found "+
				"the farm", j)
		}
		if _, p := splitAddr(j); p < 1 || p > maxPort {
			return fmt.Errorf("Join: %q cannot be a peer address: its port must be a number from 1 to %d", j,
				maxPort)
		}
	}
	if c.Advertise == "" {
		return nil
	}
	return validAddr("Advertise", c.Advertise)
}

// printable reports whether s can be shown to people as it is.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

const maxPort = 1<<16 - 1

func validAddr(field, addr string) error {
	_, p, err := net.SplitHostPort(addr)
	if err != nil || p == "" {
		return fmt.Errorf("%s: %q is not host:port, such as 10.0.0.1:7946", field, addr)
	}
	if n, err := strconv.Atoi(p); err == nil && (n < 0 || n > maxPort) {
		return fmt.Errorf("%s: %q has no port from 0 to %d", field, addr, maxPort)
	}
	return nil
}

func (c Config) validSecrets() error {
	if addr := c.exposed(); len(c.Secrets) == 0 && addr != "" {
		return fmt.Errorf("the peer address %s is not on loopback, so the farm needs a secret: "+
			"give every node the same one by Secrets (FARM_SECRET), 128 random bits or more, such as "+
			"`farmctl secret` or `openssl rand -base64 32` makes", addr)
	}
	return nil
}

// exposed returns a peer address that is not on loopback, "" if there is none.
func (c Config) exposed() string {
	for _, addr := range []string{c.Listen, c.Advertise} {
		host, _, _ := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); addr != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return addr
		}
	}
	return ""
}

// advertised returns the address to tell others, given the one that was bound.
func (c Config) advertised(ctx context.Context, look lookup, bound string) (string, error) {
	addr := c.Advertise
	if addr == "" {
		addr = bound
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "0" {
		_, port, _ = net.SplitHostPort(bound)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, err = privateIP(); err != nil {
			return "", err
		}
	}
	addr = net.JoinHostPort(host, port)
	ips, err := look.resolve(ctx, addr)
	if err != nil {
		return "", fmt.Errorf("%s: %w", addr, err)
	}
	return ips[0], nil
}

// privateIP returns the first private address of this machine.
func privateIP() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsPrivate() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no private IPv4 address: say by Advertise how others reach the " +
		"peer port")
}
