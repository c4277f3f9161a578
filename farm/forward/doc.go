// Package forward decides where a request is served: here, or by a peer.
//
// A [Gate] stands in front of the application. While it is open, requests go straight through, unless there
// is too much to do here, or the handler declines or fails (Failover). Until this node is a caught-up member
// of its cluster, and while it is draining, they are handed to a peer that serves the same application and
// says that it is ready. The peer serves or refuses; it never forwards again. What a peer provably has not
// started is tried on another one, and so is, once, what may be done twice.
//
// The client's address, the facts of its TLS connection and the id of the request travel with it, outside of
// the headers that a client can write. See DESIGN.md for the rules and their reasons.
package forward
