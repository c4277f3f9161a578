// Package tcpio reads from TCP connections, and writes to them, at less cost than package net.
//
// Before each system call a goroutine tells Go's scheduler that it may be away for long, and afterwards takes its
// processor back. A read or write that never waits needs none of that. On a machine with more to do than it has processors
// it costs more than the call: the system takes a thread from its processor in the middle of a call, the scheduler takes
// that for a long one, and has another thread go on.
//
// So the calls are made without, and never wait (MSG_DONTWAIT). What would have to wait waits for the network as ever.
// What is long is left to package net, and so is everything under the race detector and on systems other than Linux:
// the detector learns from package net what happens before what.
//
// A call may still be held up in the system, which has to find memory for what is sent. The processor is held up with
// it then, as it is by a page that was swapped out, and so is a collection of garbage that is just about to begin.
package tcpio
