// Package keyring gives all nodes of a farm the same secret keys, made and changed by the farm itself: what a
// token is signed with on one node verifies on every other.
//
// A key belongs to a purpose ("session") and has an id there, 1, 2, and so on. One key of each purpose signs.
// Machine is the replicated state; Ring is how a node uses it: Ensure once, then Current to sign and Key to
// verify, both answered from local memory, and Await where Key has none. Keep, on every node, rotates the
// keys: a new one signs once all members have it. Purpose has sub-keys, and protects what is given to
// clients.
//
// Keys lie in the log and in snapshots as they are. Whoever can read a node's data directory can read them,
// and the sessions beside them. What formats or logs a Secret gets "redacted".
package keyring
