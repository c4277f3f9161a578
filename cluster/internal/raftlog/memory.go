package raftlog

import (
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// chunkSize is how many entries are allocated together.
const chunkSize = 512

type chunk [chunkSize]raft.Log

// memory is a Store that forgets everything with its process.
type memory struct {
	mu      sync.RWMutex
	first   uint64   // index of the first entry; 0 = empty
	last    uint64   // index of the last entry; 0 = empty
	base    uint64   // index of the first place in chunks[0]; first is in that chunk
	chunks  []*chunk // without gaps
	values  map[string][]byte
	numbers map[string]uint64
}

// NewMemory returns an empty Store in memory. Dropping the beginning of the log takes time by the chunk of
// 512 entries, not by the entry.
func NewMemory() Store {
	return &memory{values: make(map[string][]byte), numbers: make(map[string]uint64)}
}

func (m *memory) IsMonotonic() bool { return true }

func (m *memory) FirstIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.first, nil
}

func (m *memory) LastIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.last, nil
}

func (m *memory) GetLog(index uint64, log *raft.Log) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.last == 0 || index < m.first || index > m.last {
		return raft.ErrLogNotFound
	}
	*log = *m.placeLocked(index)
	if err := verifyAt(index, log); err != nil {
		return &CorruptError{Index: index, Err: err}
	}
	return nil
}

func (m *memory) placeLocked(index uint64) *raft.Log {
	at := index - m.base
	return &m.chunks[at/chunkSize][at%chunkSize]
}

func (m *memory) StoreLog(log *raft.Log) error { return m.StoreLogs([]*raft.Log{log}) }

// StoreLogs appends logs, all or none of them.
func (m *memory) StoreLogs(logs []*raft.Log) error {
	if err := seal(logs); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.last + 1
	for i, log := range logs {
		if m.last == 0 && i == 0 && log.Index > 0 {
			next = log.Index // an empty log may begin anywhere
		}
		if log.Index != next {
			return fmt.Errorf("append entry %d: the next one is %d", log.Index, next)
		}
		next++
	}
	for _, log := range logs {
		m.appendLocked(log)
	}
	return nil
}

func (m *memory) appendLocked(log *raft.Log) {
	if m.last == 0 {
		m.first, m.base = log.Index, log.Index
	}
	m.last = log.Index
	if m.last-m.base >= uint64(len(m.chunks))*chunkSize {
		m.chunks = append(m.chunks, new(chunk))
	}
	*m.placeLocked(m.last) = *log
}

// DeleteRange drops the entries from min to max, which must be the beginning or the end of the log, or all of
// it.
func (m *memory) DeleteRange(min, max uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.last == 0 || min > max || max < m.first || min > m.last:
		return nil
	case min <= m.first && max >= m.last:
		m.first, m.last, m.base, m.chunks = 0, 0, 0, nil
	case min <= m.first:
		m.dropFirstLocked(max + 1)
	case max >= m.last:
		m.dropLastLocked(min - 1)
	default:
		return fmt.Errorf("drop entries %d to %d from the middle of %d to %d", min, max, m.first, m.last)
	}
	return nil
}

func (m *memory) dropFirstLocked(first uint64) {
	whole := (first - m.base) / chunkSize
	m.chunks = slices.Delete(m.chunks, 0, int(whole))
	m.base += whole * chunkSize
	for i := max(m.first, m.base); i < first; i++ {
		*m.placeLocked(i) = raft.Log{} // let go of its data
	}
	m.first = first
}

func (m *memory) dropLastLocked(last uint64) {
	keep := (last-m.base)/chunkSize + 1
	m.chunks = slices.Delete(m.chunks, int(keep), len(m.chunks))
	for i := last + 1; i <= m.last && i-m.base < keep*chunkSize; i++ {
		*m.placeLocked(i) = raft.Log{}
	}
	m.last = last
}

func (m *memory) Set(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[string(key)] = slices.Clone(value)
	return nil
}

func (m *memory) Get(key []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.values[string(key)]), nil
}

func (m *memory) SetUint64(key []byte, value uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.numbers[string(key)] = value
	return nil
}

func (m *memory) GetUint64(key []byte) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.numbers[string(key)], nil
}

// Close gives the memory free. It is there to meet Store: a closed store in memory is an empty one.
func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.first, m.last, m.base, m.chunks = 0, 0, 0, nil
	clear(m.values)
	clear(m.numbers)
	return nil
}
