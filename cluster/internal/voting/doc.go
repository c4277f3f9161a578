// Package voting decides who votes, and what time the log has. Both are plain arithmetic on what a leader
// knows: they start nothing, ask nobody and know no node, so each rule is a line in a table of its tests.
//
//   - A [Situation] is the configuration and what is known of the nodes; its Plan is the next change
//     (plan.go, seats.go). That is a pure function of the Situation.
//   - A [Clock] is the leader's time for the log: it follows the clocks of a majority of voters (clock.go).
//     It is no pure function, since the log's time never goes back, so it remembers what it has said. But it
//     reads no clock: what it says follows from the calls before, and from the times that they were given.
package voting
