package raftlog

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// fill appends about size bytes of entries with n bytes each, many at a time.
func fill(b *testing.B, s Store, n, size int) (last uint64) {
	data := bytes.Repeat([]byte("x"), n)
	batch := max(1, 1<<20/n)
	for written := 0; written < size; written += n * batch {
		logs := make([]*raft.Log, batch)
		for i := range logs {
			last++
			logs[i] = &raft.Log{Index: last, Term: 1, Data: data}
		}
		mustStore(b, s, logs)
	}
	return last
}

var benchSizes = []int{200, 16 << 10, 128 << 10}

// One entry, written and synced.
func BenchmarkDurableAppend(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := OpenDurable(b.TempDir(), 0, hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			data := bytes.Repeat([]byte("x"), n)
			b.SetBytes(int64(n))
			for index := uint64(1); b.Loop(); index++ {
				mustStore(b, s, []*raft.Log{{Index: index, Term: 1, Data: data}})
			}
		})
	}
}

// An entry that is in no cache.
func BenchmarkDurableRead(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := OpenDurable(b.TempDir(), 0, hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			fill(b, s, n, 16<<20)
			last := pushOut(b, s)
			b.SetBytes(int64(n))
			for index := uint64(1); b.Loop(); index = index%last + 1 {
				var l raft.Log
				if err := s.GetLog(index, &l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// pushOut pushes what is there out of the cache, and returns the last index before.
func pushOut(b *testing.B, s Store) (before uint64) {
	before, err := s.LastIndex()
	if err != nil {
		b.Fatal(err)
	}
	mustStore(b, s, entries(before+1, before+cachedEntries))
	return before
}

// A log of 64 MiB, opened and checked as at the start of a node.
func BenchmarkOpenAndCheck(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			s, err := OpenDurable(dir, 0, hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			fill(b, s, n, 64<<20)
			s.Close()
			snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(64 << 20)
			for b.Loop() {
				s, err := OpenDurable(dir, 0, hclog.NewNullLogger())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Check(s, snaps, dir); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

// The checksum alone.
func BenchmarkSeal(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			logs := []*raft.Log{{Index: 1, Term: 1, Data: bytes.Repeat([]byte("x"), n)}}
			b.SetBytes(int64(n))
			for b.Loop() {
				logs[0].Extensions = nil
				if err := seal(logs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
