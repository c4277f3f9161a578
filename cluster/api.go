package cluster

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"time"
)

// Role says what a member may do.
type Role string

const (
	Ordinary Role = ""        // votes, bootstraps, serves
	Front    Role = "front"   // forwards every request, never votes
	Staging  Role = "staging" // takes no user requests, never votes
)

// Config says how a node takes part. The zero Config is a single in-memory node on loopback.
type Config struct {
	Farm      string   // name of the cluster; "" = "webfarm". Nodes of another name are refused.
	Name      string   // this node's name for people; "" = hostname-port. Unique among live nodes.
	Dir       string   // data directory; "" = memory mode
	Listen    string   // peer port, host:port for TCP and UDP alike; "" = 127.0.0.1:0
	Advertise string   // host:port by which others reach Listen; "" = the bound address
	Join      []string // peer addresses of other members
	Secrets   []string // first = use, all = accept; required unless everything is loopback
	Role      Role
	Version   string                         // of the application, shown to others
	Tags      map[string]string              // small facts gossiped to all members; see SetTag
	Machines  map[string]func() StateMachine // factories of the replicated state machines, by name
	MaxVoters int                            // 0 = 5
	Heartbeat time.Duration                  // Raft heartbeat timeout; 0 = 500 ms; at least 150 ms; equal on all nodes
	Network   Network                        // nil = the operating system's
	Logger    *slog.Logger                   // nil = slog.Default()
}

// Network is how a node reaches the network; the zero value of Config uses the operating system's.
type Network interface {
	Listen(addr string) (net.Listener, error)                // TCP
	ListenPacket(addr string) (net.PacketConn, error)        // UDP
	Dial(ctx context.Context, addr string) (net.Conn, error) // TCP
}

type Node struct{}

// Open starts a node and returns; it does not wait for the cluster. Close it.
func Open(ctx context.Context, cfg Config) (*Node, error) { panic("wip") }

// Ready returns nil once this node is a caught-up member; a permanent refusal (wrong farm, name taken) is an error.
func (n *Node) Ready(ctx context.Context) error { panic("wip") }

// Err returns a permanent refusal, or nil; Failed is closed when there is one.
func (n *Node) Err() error              { panic("wip") }
func (n *Node) Failed() <-chan struct{} { panic("wip") }

// SetTag changes one of this node's gossiped tags; "" removes it. All tags together are limited to about 300 bytes.
func (n *Node) SetTag(key, value string) error { panic("wip") }

func (n *Node) State() State                              { panic("wip") }
func (n *Node) Watch(ctx context.Context) iter.Seq[State] { panic("wip") } // yields the present State at once, then the newest after changes

// Listener returns the connections which other members open with Dial(…, proto). proto is a short word such as "http".
// Connections are mutually authenticated TLS; PeerID tells who is at the other end.
func (n *Node) Listener(proto string) net.Listener                           { panic("wip") }
func (n *Node) Dial(ctx context.Context, id, proto string) (net.Conn, error) { panic("wip") }

// PeerID returns the NodeID of the member at the other end of a connection that Listener accepted or Dial opened.
func PeerID(c net.Conn) string { panic("wip") }

// Leave takes this node out of the farm for good. Close stops it ("back soon"). Both may be followed by Close.
func (n *Node) Leave(ctx context.Context) error { panic("wip") }
func (n *Node) Close() error                    { panic("wip") }

// State is what this node knows of the cluster.
type State struct {
	Farm      string
	ClusterID string // "" until known
	Self      string // NodeID of this node
	Leader    string // NodeID; "" = none known
	Term      uint64
	Applied   uint64 // index of the last command applied here
	Ready     bool   // this node is a caught-up member
	Durable   bool
	Members   []Member // sorted by Name; this node among them
}

// Member is one node of the farm.
type Member struct {
	ID      string // NodeID
	Name    string
	Addr    string // advertised peer address
	Role    Role
	Vote    string // "voter", "nonvoter", "" = not in the Raft configuration
	Status  string // "alive", "dead", "left"
	Version string
	Applied uint64 // as last heard
	Tags    map[string]string
}
