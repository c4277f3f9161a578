// Package limit says how many requests run on this node at a time, and which of the others wait for how long.
//
// A Limiter has a fixed limit, none, or one that it finds: none while the node has processors to spare; then
// nine tenths of what was running, and less each second, as long as goroutines that could run wait for a
// processor. Handlers that only wait, for a database or a client, are therefore never too many for it.
//
// Over the limit a small queue takes what comes in a burst. Where it does not become empty it is a sign of
// overload: then the newest request is served first, and those that have waited for 5 ms are refused, because
// somebody who waits for long has often gone. Requests that a peer forwards come before those of this node's
// own clients.
package limit
