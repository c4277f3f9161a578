// Package pick chooses the peer that a request is forwarded to, and remembers how peers do.
//
// A Set holds the peers that may be chosen. Pick takes two of them at random and prefers the one whose
// requests in flight times latency is less. In flight are this node's own requests, and what the peer has
// last said of itself. The latency is a mean in which a rise counts at once and a fall slowly (peak EWMA). An
// error's own latency counts for nothing; the part of requests that fail counts as time, so a peer that fails
// fast attracts nothing.
//
// A peer that fails is ejected for a while, comes back with a single request, and then takes its share little
// by little. Never more than half of the peers are ejected. Pick costs the same however many peers there are,
// and allocates nothing.
//
// The package opens no connections and reads no clocks but the one it is given.
package pick
