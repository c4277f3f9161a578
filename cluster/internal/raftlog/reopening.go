package raftlog

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// reopening is raft-wal, opened anew when it takes no entry any more: if it cannot make its next file, for want of a file
// descriptor above all, it says so in its log only, and refuses every write after it. What it has written is whole.
type reopening struct {
	open func() (*wal.WAL, error)

	mu  sync.RWMutex // held, for reading, while wal is used
	wal *wal.WAL
}

func newReopening(open func() (*wal.WAL, error)) (*reopening, error) {
	w, err := open()
	return &reopening{open: open, wal: w}, err
}

func with[T any](r *reopening, f func(*wal.WAL) (T, error)) (T, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return f(r.wal)
}

func (r *reopening) do(f func(*wal.WAL) error) error {
	_, err := with(r, func(w *wal.WAL) (struct{}, error) { return struct{}{}, f(w) })
	return err
}

func (r *reopening) StoreLogs(logs []*raft.Log) error {
	store := func(w *wal.WAL) error { return w.StoreLogs(logs) }
	err := r.do(store)
	if !errors.Is(err, wal.ErrSealed) {
		return err
	}
	if again := r.again(); again != nil {
		return fmt.Errorf("%w, and it cannot be opened anew: %w", err, again)
	}
	return r.do(store)
}

// again opens the log anew. If that fails it stays closed.
func (r *reopening) again() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.wal.Close(); err != nil {
		return err
	}
	w, err := r.open()
	if err == nil {
		r.wal = w
	}
	return err
}

func (r *reopening) StoreLog(l *raft.Log) error  { return r.StoreLogs([]*raft.Log{l}) }
func (r *reopening) FirstIndex() (uint64, error) { return with(r, (*wal.WAL).FirstIndex) }
func (r *reopening) LastIndex() (uint64, error)  { return with(r, (*wal.WAL).LastIndex) }
func (r *reopening) IsMonotonic() bool           { return true }
func (r *reopening) Close() error                { return r.do((*wal.WAL).Close) }
func (r *reopening) GetLog(i uint64, l *raft.Log) error {
	return r.do(func(w *wal.WAL) error { return w.GetLog(i, l) })
}
func (r *reopening) DeleteRange(min, max uint64) error {
	return r.do(func(w *wal.WAL) error { return w.DeleteRange(min, max) })
}
func (r *reopening) Set(key, value []byte) error {
	return r.do(func(w *wal.WAL) error { return w.Set(key, value) })
}
func (r *reopening) Get(key []byte) ([]byte, error) {
	return with(r, func(w *wal.WAL) ([]byte, error) { return w.Get(key) })
}
func (r *reopening) SetUint64(key []byte, v uint64) error {
	return r.do(func(w *wal.WAL) error { return w.SetUint64(key, v) })
}
func (r *reopening) GetUint64(key []byte) (uint64, error) {
	return with(r, func(w *wal.WAL) (uint64, error) { return w.GetUint64(key) })
}
