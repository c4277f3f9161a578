// Package state is the replicated state machine of package session: which sessions exist, what they hold, when they
// end. It is pure: no network, no HTTP, no clock of its own in any decision that must come out equal everywhere.
//
// Commands are bytes, made by the Append methods of Create, Write, CAS, Take, Destroy, Touch, Tick and SetLimits, and
// carried out by Machine.Apply in the order of the log. Answers are bytes read by DecodeResult. Reads are local calls
// (Machine.Get) or a Fetch sent to the leader's copy (Machine.Query, DecodeFetched).
//
// The rules all commands keep:
//
//   - Only Create creates. A missing, ended or expired session answers Ended to everything else and stays what it is.
//   - A session is dead from its deadline on, by the log's time, whether or not a Tick has collected it yet.
//   - A refused command changes nothing but the log time and index the machine has reached.
//   - Values are opaque.
//
// DESIGN.md says why.
package state
