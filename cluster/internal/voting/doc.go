// Package voting decides who votes, and what time the log has. Both are plain arithmetic on what a leader
// knows: they start nothing, ask nobody and know no node, so each rule is a line in a table of its tests.
//
//   - A [Situation] is the configuration and what is known of the nodes; its Plan is the next change
//     (plan.go, seats.go).
//   - A [Clock] is the leader's time for the log: it follows the clocks of a majority of voters (clock.go).
package voting
