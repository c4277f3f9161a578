// Package retry decides what becomes of a forwarded request when an attempt at it has ended. Decide is a pure
// function: what is known goes in, what to do comes out. Beside it are the two things that it is told of: a
// Budget for retries, and the Suspects, which are requests that have brought a peer down.
//
// A request that certainly was not started (attempt.State has the states) may go to another peer, whatever
// its method. One that may have been started goes there only if doing it twice is as good as once. DESIGN.md
// of package forward, "Retries", has the rules and why.
//
// The package opens no connections and reads no clocks but the one it is given.
package retry
