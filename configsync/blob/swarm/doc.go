// Package swarm brings blobs from one node to the others: each takes what it lacks from whatever nodes have
// it, and gives what it has.
package swarm
