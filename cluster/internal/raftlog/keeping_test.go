package raftlog

import (
	"testing"

	"github.com/hashicorp/raft"
)

// keeping returns a store with entries 1 to last of 32 KiB each, of which *need is the first that somebody
// needs.
func keeping(t *testing.T, last uint64, need *uint64) *Keeping {
	t.Helper()
	k := Keep(NewMemory(), func(func(uint64) int64) uint64 { return *need })
	for i := uint64(1); i <= last; i++ {
		if err := k.StoreLog(&raft.Log{Index: i, Term: 1, Data: make([]byte, 32<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func firstIs(t *testing.T, k *Keeping, want uint64) {
	t.Helper()
	if got, err := k.FirstIndex(); got != want || err != nil {
		t.Errorf("the log begins with %d, %v; want %d", got, err, want)
	}
}

// What somebody needs stays, and goes when nobody does any more.
func TestKeep(t *testing.T) {
	need := uint64(40)
	k := keeping(t, 100, &need)
	drop := func() {
		t.Helper()
		if err := k.Drop(); err != nil {
			t.Error(err)
		}
	}
	if err := k.DeleteRange(1, 20); err != nil {
		t.Error(err)
	}
	firstIs(t, k, 21)
	if err := k.DeleteRange(21, 80); err != nil {
		t.Error(err)
	}
	firstIs(t, k, 40)
	need = 60
	drop()
	firstIs(t, k, 40) // it goes in one step
	need = 81
	drop()
	firstIs(t, k, 81)
	need = 0
	drop()
	firstIs(t, k, 81)
	need = 50 // has gone
	if err := k.DeleteRange(81, 90); err != nil {
		t.Error(err)
	}
	firstIs(t, k, 81)
	if err := k.DeleteRange(81, 100); err != nil { // all of it: a snapshot has come in its place
		t.Error(err)
	}
	firstIs(t, k, 0)
	drop()
}

// The size of a part of the log is known, to the last 64 KiB, whatever was dropped.
func TestKeptSize(t *testing.T) {
	const each = 32<<10 + sumSize
	need := uint64(0)
	k := keeping(t, 100, &need)
	check := func(from, entries uint64) {
		t.Helper()
		if got, want := k.Size(from), int64(entries*each); got < want || got > want+markEvery+each {
			t.Errorf("from %d on %d bytes, want %d", from, got, want)
		}
	}
	check(1, 100)
	check(51, 50)
	check(100, 1)
	if err := k.DeleteRange(1, 40); err != nil {
		t.Error(err)
	}
	check(51, 50)
	check(41, 60)
	if err := k.DeleteRange(71, 100); err != nil {
		t.Error(err)
	}
	check(51, 20)
	if err := k.StoreLog(&raft.Log{Index: 71, Term: 2, Data: make([]byte, 32<<10)}); err != nil {
		t.Error(err)
	}
	check(51, 21)
	if err := k.DeleteRange(41, 71); err != nil {
		t.Error(err)
	}
	if got := k.Size(41); got != 0 {
		t.Errorf("an empty log of %d bytes", got)
	}
}
