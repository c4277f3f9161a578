package forward

import (
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/farm/internal/traffic"
)

// Stats says what a Gate has to do, and what it thinks of its peers.
type Stats = traffic.Stats

// PeerStats is what a Gate knows of a peer.
type PeerStats = traffic.PeerStats

// Stats returns what is so now. It is for people and for metrics: the figures are not of one moment.
func (g *Gate) Stats() Stats {
	load := g.limit.Load()
	peers, panicking := g.hop.set.Status()
	s := Stats{
		Running: load.Running,
		Limit:   load.Limit,
		Waiting: load.Waiting,
		Streams: load.Streams,
		Refused: load.Refused,
		Panic:   panicking,
	}
	names := g.hop.names()
	for _, p := range peers {
		s.Peers = append(s.Peers, PeerStats{
			ID:       p.ID,
			Name:     names[p.ID],
			Given:    p.Chosen,
			InFlight: p.InFlight,
			Others:   p.Others,
			Limit:    p.Limit,
			Latency:  p.Latency,
			Share:    p.Share,
			Ejected:  p.Ejected,
			Draining: p.Draining,
			Down:     p.Down,
		})
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
