// Package traffic has the figures of a gate, as they travel to operators.
package traffic

import "time"

// Stats says what a gate has to do, and what it thinks of its peers.
type Stats struct {
	Running int    `json:"running"` // handlers of the application, without streams
	Limit   int    `json:"limit"`   // how many may run; 0 = any number
	Waiting int    `json:"waiting"` // requests that wait for a place
	Streams int    `json:"streams"` // that have left the count: WebSockets, and what asks for Draining
	Refused uint64 `json:"refused"` // requests that found no place, since the start

	Peers []PeerStats `json:"peers"` // who may be given requests, in the order of their names
	Panic bool        `json:"panic"` // so many peers are ejected that it counts for nothing
}

// PeerStats is what a gate knows of a peer.
type PeerStats struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Given    uint64        `json:"given"`     // requests that it was given, since it may be chosen
	InFlight int           `json:"in_flight"` // of them now
	Others   int           `json:"others"`    // requests of others there, as it has last said
	Limit    int           `json:"limit"`     // how many it runs at a time, as it has last said; 0 = any number
	Latency  time.Duration `json:"latency"`   // until the head of an answer, high ones remembered for a while; 0 = not known
	Share    float64       `json:"share"`     // 0 to 1: what it gets of what others in its place get; below 1 after it came or recovered
	Ejected  time.Duration `json:"ejected"`   // it failed too often and is given nothing for so long; 0 = it is not ejected
	Draining bool          `json:"draining"`
	Down     bool          `json:"down"` // there is no connection with it
}
