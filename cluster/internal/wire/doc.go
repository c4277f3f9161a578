// Package wire is what nodes say to each other, and what stands in the log, as bytes: entries with the
// batches in them, answers, hellos, frames of calls, the codes of errors, and the protocol levels that say
// who understands what. It knows nothing of nodes.
//
// All of it is read by other releases. A format changes only by a new level, and TestCorpus fails where one
// does by accident.
package wire
