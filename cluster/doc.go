// Package cluster makes nodes that run the same program into one: gossip finds the members, a Raft log
// replicates named state machines, and every member can write to them, read them, and connect to every other
// one. It knows nothing of HTTP or sessions.
//
// # A node
//
// [Open] starts a node and returns; [Node.Ready] waits until it is a caught-up member. Nodes that are given
// one common Join list found a cluster together, once all of them are there; a node without Join addresses
// founds one alone; one whose Join names others only waits to be taken in, for ever; and one that has state
// in its data directory carries on with it.
//
// A program calls [Node.PrepareStop] when it begins to stop, finishes its work, and calls [Node.Close], which
// means "back soon", or [Node.Leave], "for good". [Node.Failed] is closed when the node can never be a member
// as it is, for a name that is taken, or a disk that fails: the program then ends with [Node.Err], which says
// what to do. Until then it needs to do nothing about nodes and leaders that come and go.
//
// # State machines
//
// A [StateMachine] is replicated by naming a factory for it in [Config.Machines]. [Node.Handle] is its
// client:
//
//	h := node.Handle("counter")
//	index, value, err := h.Propose(ctx, []byte("add 1")) // replicated, applied here too, exactly once
//	err = h.Barrier(ctx)                                 // h.Local() is as new as anything acknowledged by now
//
// example_test.go has a whole machine, on two nodes of one process. A test of your own can begin like that.
//
// Calls wait for a leader until their context ends, so give each a deadline. What Propose acknowledged is on
// a majority of the voters, on disk there if the farm is durable. After ErrUncertain the write may or may not
// have happened. A farm that is asked for more than it can do refuses what would have to wait for too long:
// at once, and by ErrOverloaded, after which the write has certainly not happened.
//
// # The peer port
//
// Members talk over one port number: TCP with TLS 1.3 and mutual authentication, where the ALPN name picks
// the protocol, and UDP for encrypted gossip packets. Keys and certificates come from Config.Secrets. Other
// packages can use the port as well: [Node.Listener] and [Node.Dial].
//
// Whoever knows a secret can operate the cluster through the same port: package admin below this one, and
// cmd/farmctl.
//
// # Words
//
//   - A *node* is a process with a place in the farm. Its *NodeID* stays as long as its data directory does.
//   - A *run* is one process of a node, from start to end. Gossip knows runs.
//   - An *incarnation* is one memory of votes and log of a node. A node that forgets them becomes another
//     incarnation.
//   - The *boot* counter counts the starts of one incarnation. It is on disk before anybody hears of it.
//   - A *server* is what Raft knows: a node in an incarnation, NodeID.incarnation.
//   - A *Raft instance* is one life of Raft in a process. A node that starts Raft anew has another one.
//   - An *origin* is one Raft instance of a server, as one from which commands come. The table of answers,
//     by which each command is applied once, is kept by origins.
//   - A *batch* is commands of one origin that travel to the leader together; an *entry* of the log holds
//     batches.
//   - A *voter* has a vote in Raft's configuration. A *stand-by* is a node there that could have one, and has
//     none now. A *seat* is the place of one voter.
//   - A *copy* is the state on one node. The *gate* opens when a node is a caught-up member; from then on its
//     copy may be read.
//   - A *part* of a node is a type of this package that does one thing for it; the *base* is what parts have
//     in common. A Raft instance and a leadership have parts too; what those have in common is the *core* and
//     the *tenure*. To *take part* is something else: a node does if its Raft runs, so that it stores and
//     votes.
//   - The *farm* is all nodes of one name; *cluster* is the same, where no web is meant.
//   - The *cluster ID* tells two farms of one name apart. It has the farm's *lineage*, which stays for life,
//     and its *epoch*, which counts how often the farm was re-formed.
//   - A farm whose quorum is gone for good is *re-formed* by one of those that are left, the *successor*. The
//     others *stand down* first, which ends their Raft, and give a *promise* to follow the successor.
//   - An *heir* is the voter to which a leader hands over. The *relief* of a voter that stops is the stand-by
//     that takes its seat.
//   - A *pledge* is a word to one founder, for ten seconds; a *claim* is the right to restore a backup.
//   - A *level* is what nodes may say to each other, and what may stand in the log. It only rises.
//
// # Reading the source
//
// node.go puts the parts of a node together, answer.go passes to them what other members ask, and base.go has
// what they have in common; the type at the head of a file says what its part does and what guards it.
// instance.go puts the parts of one Raft instance together, core.go has what they have in common, and
// instances.go starts it. leader.go does the same for what a node does while it leads one term, with
// tenure.go; leading.go begins and ends it. DESIGN.md says why. It begins with a list of questions and where
// their answers are, and it has tables of the parts.
//
// What a program sees is config.go, tuning.go, program.go (what operators have it do), machine.go (the
// contract of a state machine), propose.go and read.go (its client), member.go and watch.go (who is there),
// errors.go, and stats.go.
//
// A write goes propose.go, origin.go, outgoing.go and offer.go (this node's side), package internal/link (the
// two ends of a call), sequence.go, taken.go and flight.go (the leader's side), and internal/replica (every
// node); internal/wire has the bytes. flow.go, credit.go and fair.go bound how much is under way, needs.go
// keeps out of the log what some program does not know, and registration.go makes the node known as an
// origin. Nodes that did not propose hear of a commit by notice.go, all at once if unison.go is asked for it;
// nudge.go tells it to the local Raft. applied.go has how far this node has applied, and spread.go waits
// until others have. A read that must be new goes read.go, rounds.go and confirm.go.
//
// What raft gets of us is tuner.go (its settings) and transport.go, with append.go, retry.go, pipeline.go,
// heartbeat.go, handover.go and feed.go (what it sends; internal/line fits it to the speed of the line). Its
// connections are in streamlayer.go and trackedconn.go, and backlog.go has what waits for a Raft that is
// busy. broken.go and watchdog.go look at writes to its log, which fail or do not end; restoring.go looks at
// what it restores. Its log and its snapshots, on disk or in memory, are in internal/raftlog, and storage.go
// reads them for others. followers.go has what the leader knows of those it sends to.
//
// leadercell.go has who leads, pace.go for how long to wait for it, and handover.go makes another one lead.
// suspicion.go gives up a leader whose process is gone. reigns.go and whyled.go tell why the leader changed.
//
// A snapshot is taken, and after a failure taken again, by snapshots.go; frozen, written and restored by
// internal/replica; sent by feed.go; kept and checked by snapstore.go and internal/raftlog.
//
// Members come and go by gossip.go and news.go; members.go has who is there, status.go how far each says it
// is, internal/roster what was heard, and profile.go what this node says of itself. internal/voting decides
// who is to have a vote, voters.go carries it out; internal/standing has whether this node may cast one, and
// as whom, with what it has promised. form.go, join.go, seeds.go, addresses.go and meet.go find the farm,
// identity.go, label.go, handshake.go and rivals.go make sure who is who; label.go also refuses a wrong data
// directory. level.go has which versions may work together, and raises the level. ready.go opens the gate,
// waiting.go says for whom it waits, prepare.go and close.go are the way out, and departure.go has how far a
// node is on it; ended.go tells whether a run is certainly over.
//
// compare.go finds copies that differ, with mark.go, ballot.go, testimony.go and divergence.go; witness.go is
// the side of a copy that is asked. damage.go finds logs that are damaged; unfit.go, resync.go and without.go
// mend both, and fitness.go has whether a copy counts. orders.go, resets.go and logs.go have Raft instances
// end and begin; begun.go tells a log that is gone from one that has never begun. starved.go waits where
// there is no file descriptor.
//
// A farm that has lost its quorum for good goes by quorum.go, survey.go, succeed.go, follow.go and reform.go;
// restore.go begins it anew from a backup, and claim.go keeps two restores apart. epoch.go names what comes
// of it; internal/succession decides who re-forms it. admin.go, and the files whose names begin with that,
// answer operators by internal/adminwire; stats.go, meters.go and internal/gauge have what they read.
//
// What many use: atonce.go asks several nodes, pause.go waits between attempts, warnings.go and slog.go log,
// failure.go has why a node can never be a member, workers.go what Close waits for; names.go and sorted.go
// are small. contacts.go has where others may be, advertise.go tries this node's own address, tags.go and
// version.go have what a node says of itself; hooks.go is what tests change.
//
// The peer port is internal/port, which protocol.go and connections.go use; internal/trust has its
// certificates, internal/disk the small files of a data directory, and internal/frame reads lengths that
// others claim.
//
// Tests of whole farms are scripts: testdata/script has them, with a README of their language, and
// script_test.go runs them. lab_test.go is a farm for tests in Go, kv_test.go its state machine, and
// model_test.go what callers were told, which every farm is held to.
//
// What is in internal never imports this package, so it can be read, and is tested, without a node.
package cluster
