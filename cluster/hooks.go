package cluster

import (
	"net"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// hooks are what the tests of this package change in a node. The zero value changes nothing.
type hooks struct {
	wrapStore func(raftlog.Store) raftlog.Store // a disk that hangs, or loses; nil = none
	lookup    lookup                            // nil asks the system
	// the highest protocol level that the program speaks; 0 = wire.ProtocolMax
	maxLevel   byte
	raiseAfter time.Duration // 0 = raiseAfter
	markEvery  time.Duration // 0 = markEvery

	heartbeatsBeside bool // raft takes heartbeats beside its main goroutine (raft issue 695)
}

func (h hooks) withDefaults() hooks {
	if h.wrapStore == nil {
		h.wrapStore = func(s raftlog.Store) raftlog.Store { return s }
	}
	if h.lookup == nil {
		h.lookup = net.DefaultResolver.LookupHost
	}
	if h.maxLevel == 0 {
		h.maxLevel = wire.ProtocolMax
	}
	if h.raiseAfter == 0 {
		h.raiseAfter = raiseAfter
	}
	if h.markEvery == 0 {
		h.markEvery = markEvery
	}
	return h
}
