// Package replica is one copy of the replicated state: what a node makes of the log that Raft agrees on. It
// applies entries to state machines, each command once, and writes and restores snapshots. It knows no node
// and no network.
//
//   - A [State] is the copy (state.go). Raft has it apply entries (apply.go) and restore snapshots
//     (restore.go).
//   - The table of origins has it that a batch which is twice in the log is applied once (origins.go).
//   - A [Snapshot] is the state frozen at an index (freeze.go), and a stream of bytes (snapshot.go).
//   - The protocol level in force is part of the state (level.go).
//   - A hash of all that was applied tells copies that differ (chain.go).
//
// Replicas are equal to the byte: what is applied depends on the log alone, never on the node.
package replica
