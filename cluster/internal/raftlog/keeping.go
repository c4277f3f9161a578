package raftlog

import (
	"sort"
	"sync"

	"github.com/hashicorp/raft"
)

// Keeping is a Store whose beginning is dropped only as far as nobody needs it. Raft drops what a snapshot
// covers, whoever is just being sent the log from there on.
type Keeping struct {
	Store
	need func(size func(from uint64) int64) (from uint64)

	mu     sync.Mutex
	marks  []sizeMark // rising, in the log
	size   int64      // bytes of data that were appended
	wanted uint64     // the last entry that was to be dropped and is kept; 0 = there is none
}

// sizeMark says how many bytes had been appended before an entry.
type sizeMark struct {
	index  uint64
	before int64
}

const markEvery = 64 << 10 // bytes of the log between two marks

// Keep returns s as a Store that asks need, before it drops entries at the beginning, which is the first that
// somebody needs; 0 if nobody does. need can ask in turn how many bytes of data the log holds from an entry
// on, to the last 64 KiB. What was in the log when it was opened counts as nothing.
func Keep(s Store, need func(size func(from uint64) int64) (from uint64)) *Keeping {
	return &Keeping{Store: s, need: need}
}

func (k *Keeping) StoreLog(log *raft.Log) error { return k.StoreLogs([]*raft.Log{log}) }

func (k *Keeping) StoreLogs(logs []*raft.Log) error {
	if err := k.Store.StoreLogs(logs); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range logs {
		if n := len(k.marks); n == 0 || k.size-k.marks[n-1].before >= markEvery {
			k.marks = append(k.marks, sizeMark{l.Index, k.size})
		}
		k.size += int64(len(l.Data) + len(l.Extensions))
	}
	return nil
}

// Size returns how many bytes of data the log holds from an entry on.
func (k *Keeping) Size(from uint64) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := sort.Search(len(k.marks), func(i int) bool { return k.marks[i].index > from }) - 1
	if at < 0 {
		at = 0
	}
	if len(k.marks) == 0 {
		return 0
	}
	return k.size - k.marks[at].before
}

// DeleteRange drops the entries from min to max: the end of the log or all of it, or as much of its beginning
// as nobody needs.
func (k *Keeping) DeleteRange(min, max uint64) error {
	first, err := k.Store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := k.Store.LastIndex()
	if err != nil {
		return err
	}
	if min <= first && max < last {
		return k.dropFirst(first, max)
	}
	if err := k.Store.DeleteRange(min, max); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := len(k.marks); n > 0 && k.marks[n-1].index >= min; n-- {
		k.size, k.marks = k.marks[n-1].before, k.marks[:n-1]
	}
	if min <= first {
		k.marks, k.wanted = nil, 0
	}
	return nil
}

func (k *Keeping) dropFirst(first, max uint64) error {
	kept := uint64(0)
	if from := k.need(k.Size); from > 0 && from <= max {
		kept, max = max, from-1
	}
	if max >= first {
		if err := k.Store.DeleteRange(first, max); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted = kept
	past := sort.Search(len(k.marks), func(i int) bool { return k.marks[i].index > max+1 }) - 1
	if past > 0 {
		k.marks = append(k.marks[:0], k.marks[past:]...)
	}
	return nil
}

// Drop drops what was kept for somebody, if nobody needs it any more.
func (k *Keeping) Drop() error {
	k.mu.Lock()
	wanted := k.wanted
	k.mu.Unlock()
	if from := k.need(k.Size); wanted == 0 || from > 0 && from <= wanted {
		return nil
	}
	first, err := k.Store.FirstIndex()
	if err != nil {
		return err
	}
	return k.DeleteRange(first, wanted)
}
