// Package link is how one node of a farm calls another: connections with a hello, calls over them whose end
// travels, proof of life, and one live connection to each node. It knows nothing of nodes, of the port or of
// what is asked: it is given a function that dials and one that says hello.
//
// A call:
//
//	caller                         connection                         other end
//	  Call ------ waits for one of 250 places, then for its turn to write
//	         ---- request n, method, payload ---------------------->  waits for one of 256 slots, or is refused
//	                                                                  Handler(ctx, ...)
//	  returns <-- n, code, payload ---------------------------------  slot is free
//
//	  ctx ends
//	         ---- cancel n ---------------------------------------->  its ctx ends, slot is free, no answer
//	  returns
//
// A connection, as its calling end sees it:
//
//	       Dial, Hello           an answer is awaited, 2 s of silence
//	none ---------------> live -----------------------------------> asked (ping) --- 3 s of silence ---> dead
//	 ^                     | ^                                        |                                   ^
//	 |                     | +----------- any byte -------------------+                                   |
//	 |                     +--------- an error, the other end closes, Drop -------------------------------+
//	 +----------------- the next Get, or at once where Keep says so ---------------------------------------+
//
// Budget bounds the handshakes of all connections of a node, these and others, by class; package port asks
// it.
package link
