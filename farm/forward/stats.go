package forward

import (
	"slices"
	"strings"
	"time"
)

// Stats says what a Gate has to do, and what it thinks of its peers.
type Stats struct {
	Running int    // handlers of the application, without streams
	Limit   int    // how many may run; 0 = any number
	Waiting int    // requests that wait for a place
	Streams int    // that have left the count: WebSockets, and what asks for Draining
	Refused uint64 // requests that found no place, since the start

	Peers []PeerStats // who may be given requests, in the order of their names
	Panic bool        // so many peers are ejected that it counts for nothing
}

// PeerStats is what a Gate knows of a peer.
type PeerStats struct {
	ID, Name string
	Given    uint64        // requests that it was given, since it may be chosen
	InFlight int           // of them now
	Others   int           // requests of others there, as it has last said
	Limit    int           // how many it runs at a time, as it has last said; 0 = any number
	Latency  time.Duration // until the head of an answer, high ones remembered for a while; 0 = not known
	Share    float64       // 0 to 1: what it gets of what others in its place get; below 1 after it came or recovered
	Ejected  time.Duration // it failed too often and is given nothing for so long; 0 = it is not ejected
	Draining bool
}

// Stats returns what is so now. It is for people and for metrics: the figures are not of one moment.
func (g *Gate) Stats() Stats {
	load := g.limit.Load()
	s := Stats{Running: load.Running, Limit: load.Limit, Waiting: load.Waiting, Streams: load.Streams, Refused: load.Refused}
	peers, panicking := g.hop.set.Status()
	s.Panic = panicking
	names := g.hop.names()
	for _, p := range peers {
		s.Peers = append(s.Peers, PeerStats{ID: p.ID, Name: names[p.ID], Given: p.Chosen, InFlight: p.InFlight,
			Others: p.Others, Limit: p.Limit, Latency: p.Latency, Share: p.Share, Ejected: p.Ejected, Draining: p.Draining})
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// names returns the names of the peers by NodeID.
func (h *hop) names() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := make(map[string]string, len(h.peers))
	for id, p := range h.peers {
		m[id] = p.name
	}
	return m
}
