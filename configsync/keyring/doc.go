// Package keyring gives all nodes of a farm the same secret keys, made by the farm itself: what a token is signed with on
// one node verifies on every other.
//
// A key belongs to a purpose ("session") and has an id there, 1, 2, and so on. Machine is the replicated state; Ring is
// how a node uses it: Ensure once, then Current to sign and Key to verify, both answered from local memory.
//
// Keys lie in the log and in snapshots as they are. Whoever can read a node's data directory can read them, and the
// sessions beside them. What formats or logs a Secret gets "redacted".
package keyring
