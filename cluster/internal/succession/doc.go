// Package succession decides who re-forms a farm whose quorum is gone for good, and whether anybody may. It
// knows only what the servers that are left report. The rules:
//
//   - Fewer voters than a quorum run on; the others are gone: proven, or by the word of an operator.
//   - Nobody who answers knows more than that: neither the members that gossip knows, nor what the lost have
//     become since.
//   - Every voter that is left has stood down, which means that its Raft has ended for good, before anything
//     else happens. From then on the old farm can neither acknowledge nor elect, whoever comes back.
//   - Each of them promises to follow one successor, the server with the greatest last (term, index) among
//     them and the others that answer, and nobody else unless that one is gone. So two cannot both re-form
//     the farm.
//
// If no voter is left, every non-voter takes the place of one. Who holds most is the successor whatever its
// role; a role without a vote gives leadership and vote away as soon as another one votes.
package succession
