package cluster

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// hangingStore is a disk whose writes hang while it is told to.
type hangingStore struct {
	raftlog.Store
	switchboard *hangSwitch
}

type hangSwitch struct {
	mu   sync.Mutex
	hung chan struct{} // closed when writes go on; nil while they do
}

func (s *hangSwitch) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan struct{})
}

func (s *hangSwitch) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung != nil {
		close(s.hung)
		s.hung = nil
	}
}

func (s *hangSwitch) wait() {
	s.mu.Lock()
	hung := s.hung
	s.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

func (s hangingStore) StoreLogs(l []*raft.Log) error {
	s.switchboard.wait()
	return s.Store.StoreLogs(l)
}

// fullStore is a log on a disk that can be full.
type fullStore struct {
	raftlog.Store
	full *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (s fullStore) write(f func() error) error {
	if s.full.Load() {
		return errFull
	}
	return f()
}

func (s fullStore) StoreLogs(l []*raft.Log) error {
	return s.write(func() error { return s.Store.StoreLogs(l) })
}

func (s fullStore) Set(k, v []byte) error {
	return s.write(func() error { return s.Store.Set(k, v) })
}

func (s fullStore) SetUint64(k []byte, v uint64) error {
	return s.write(func() error { return s.Store.SetUint64(k, v) })
}
