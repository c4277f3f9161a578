package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// reopening is raft-wal, opened anew when it takes no entry any more: if it cannot make its next file, for
// want of a file descriptor above all, it says so in its log only, and refuses every write after it. What it
// has written is whole.
//
// A write that finds no descriptor waits until there is one, and acknowledges nothing meanwhile: opened anew,
// the log is as it was before that write.
type reopening struct {
	open    func() (*wal.WAL, error)
	logger  hclog.Logger
	warning descriptors.Warning
	waiting atomic.Int32  // writes that wait for a descriptor
	over    chan struct{} // closed by abandon: nothing waits any more
	once    sync.Once

	mu  sync.RWMutex // held, for reading, while wal is used
	wal *wal.WAL
}

func newReopening(open func() (*wal.WAL, error), logger hclog.Logger) (*reopening, error) {
	w, err := open()
	return &reopening{open: open, logger: logger, over: make(chan struct{}), wal: w}, err
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

// write runs a write of entries. raft-wal may have done half of it when it finds no descriptor, and says the
// other half on its next opening.
func (r *reopening) write(f func(*wal.WAL) error) error {
	err, sealed := r.do(f), false
	for pause := time.Duration(0); ; {
		switch {
		case errors.Is(err, wal.ErrSealed) && !sealed:
			sealed = true
		case descriptors.Exhausted(err):
			if pause = descriptors.Pause(pause); !r.wait(err, pause) {
				return err
			}
		default:
			return err
		}
		if again := r.again(); again != nil {
			return fmt.Errorf("%w, and it cannot be opened anew: %w", err, again)
		}
		err = r.do(f)
	}
}

// again opens the log anew, as soon as there are descriptors for that. If it fails the log stays closed.
func (r *reopening) again() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.wal.Close(); err != nil {
		return err
	}
	for pause := time.Duration(0); ; {
		w, err := r.open()
		if err == nil {
			r.wal = w
		}
		pause = descriptors.Pause(pause)
		if !descriptors.Exhausted(err) || !r.wait(err, pause) {
			return err
		}
	}
}

// wait waits for d, and says from time to time what for. It reports false if the log was abandoned.
func (r *reopening) wait(err error, d time.Duration) bool {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if r.warning.Due() {
		r.logger.Warn("the log needs another file and gets none; nothing is acknowledged until it does",
			"error", descriptors.Explain(err))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.over:
		return false
	}
}

func (r *reopening) abandon() { r.once.Do(func() { close(r.over) }) }

func (r *reopening) StoreLogs(logs []*raft.Log) error {
	return r.write(func(w *wal.WAL) error { return w.StoreLogs(logs) })
}

func (r *reopening) DeleteRange(min, max uint64) error {
	return r.write(func(w *wal.WAL) error { return w.DeleteRange(min, max) })
}

func (r *reopening) StoreLog(l *raft.Log) error  { return r.StoreLogs([]*raft.Log{l}) }
func (r *reopening) FirstIndex() (uint64, error) { return with(r, (*wal.WAL).FirstIndex) }
func (r *reopening) LastIndex() (uint64, error)  { return with(r, (*wal.WAL).LastIndex) }
func (r *reopening) IsMonotonic() bool           { return true }
func (r *reopening) Close() error                { return r.do((*wal.WAL).Close) }
func (r *reopening) GetLog(i uint64, l *raft.Log) error {
	return r.do(func(w *wal.WAL) error { return w.GetLog(i, l) })
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
