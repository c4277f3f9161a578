// Package standing is whether a node may vote, and as whom. A node that forgot its votes must never vote as
// the one that cast them, and one that has given its word must not break it; both are told here, by small
// steps, each of which is on disk before anybody hears of it. It knows no network and no Raft.
//
// What a node belongs to:
//
//	            Found                  EndFounding
//	nobody's ----------> founding ------------------> member
//	 ^  |                                              ^  |
//	 |  +-------------------- Adopt -------------------+  |
//	 +--------------- Leave, GiveUp ----------------------+
//
// In each of these, Start and Restart count the runs of one incarnation, and Anew and LoseLog make the node
// another incarnation, without votes. Succeed makes it another incarnation, a member in the next epoch of its
// farm. With GiveUp for a farm that is known it stays a member, of that one.
//
// What a node has promised:
//
//	             StandDown             Promise               Succeed: the next epoch begins with it
//	takes part ------------> down ------------> bound to X --------------------------------------> takes part
//	     ^                    |                     |
//	     +------ Resume ------+------- Resume ------+------- Anew, GiveUp: it joins X's epoch ----> takes part
//
// Who is bound stays so over Start and Restart.
//
// Beside these there are two words that end by themselves: a pledge to follow a founder (pledge.go), and a
// claim to replace the farm's state (claim.go). A claim that another node holds keeps this one from
// promising, and a promise to another one, as long as it is fresh, keeps it from giving a claim.
package standing
