// Package roster is what a node has heard of the others by gossip, and what it says of itself. It decides
// nothing about state: Raft's configuration is the truth for that. It sends nothing and asks nobody.
//
//   - A [Sighting] is the last that was heard of one run of a node (sighting.go); [Meta] is what the run says
//     of itself (meta.go).
//   - A [Directory] holds the sightings: who is where, who is alive, which run of a node counts, whose name
//     two of them claim, and how far each was heard to be (directory.go).
//   - Runs that have said goodbye do not come back, whatever an old packet says (departed.go).
package roster
