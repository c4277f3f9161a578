package cluster

import (
	"reflect"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/internal/parts"
)

// What is put together of parts: nobody but a program's handle has the Node. The Raft instance is in the base
// of a Node, two note which one they have looked at, and a tenure has the one that it belongs to.
var (
	nodeParts = parts.Whole{Type: reflect.TypeFor[Node](), Base: reflect.TypeFor[base](),
		Does:    []string{"assemble", "open", "start", "gossip", "answer", "shutDown", "release"},
		Holders: []string{"Handle"}}
	instanceParts = parts.Whole{Type: reflect.TypeFor[instance](), Base: reflect.TypeFor[core](),
		Does: []string{"assemble", "newLeadership", "start", "observe", "halt", "stop", "standDown",
			"shutDown"},
		Holders: []string{"base", "resets", "seat", "tenure"}}
	leadershipParts = parts.Whole{Type: reflect.TypeFor[leadership](), Base: reflect.TypeFor[tenure](),
		Does: []string{"run", "open", "openEntry"}, Holders: []string{"leading"}}
)

// A Node opens its parts, passes to them what others ask, and closes them. A Raft instance and a leadership
// start their parts and end them. What is done beyond that belongs to a part, which has what it needs as
// fields, and not the whole. Nothing hides what is in the base.
func TestNodeOnlyPutsTogether(t *testing.T) {
	nodeParts.Check(t, 15)
	instanceParts.Check(t, 15)
	leadershipParts.Check(t, 9)
}

// A part is put together after the other parts that it has. The exception is what only open, or start, can
// fill in.
func TestPartsAreWhole(t *testing.T) {
	n := &Node{base: newBase(Config{}, hooks{})}
	n.assemble()
	nodeParts.Lacks(t, n, "connections.rpc", "connections.raft", "identifying.certificate", "joining.seeds",
		"operators.calls", "operators.identity")
	n.ctx = t.Context()
	in := newInstance(n.instances, "n1.1", 1)
	instanceParts.Lacks(t, in, "nudger", "origin", "storage.store", "storage.kept", "storage.files",
		"storage.snaps", "storage.memory", "stalls.timer")
	in.fsm = replica.New(replica.Config{Machines: func() map[string]replica.Machine { return nil }})
	leadershipParts.Lacks(t, in.newLeadership(1))
}
