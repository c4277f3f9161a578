package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// Entries of every type get a checksum when they are stored, and keep it when a follower stores what it was
// sent.
func TestChecksumTravels(t *testing.T) {
	eachStore(t, func(t *testing.T, leader Store) {
		follower := NewMemory()
		for i, kind := range []raft.LogType{raft.LogCommand, raft.LogNoop, raft.LogBarrier,
			raft.LogConfiguration} {
			l := &raft.Log{Index: uint64(i + 1), Term: 3, Type: kind, Data: []byte("data")[:i]}
			mustStore(t, leader, []*raft.Log{l})
			var sent raft.Log
			if err := leader.GetLog(l.Index, &sent); err != nil || len(sent.Extensions) != sumSize {
				t.Fatalf("%v: extensions %x, %v", kind, sent.Extensions, err)
			}
			mustStore(t, follower, []*raft.Log{&sent})
		}
		for _, change := range []func(*raft.Log){
			func(l *raft.Log) { l.Term++ }, func(l *raft.Log) { l.Type = raft.LogNoop },
			func(l *raft.Log) { l.Data = []byte("x") },
			func(l *raft.Log) { l.Data = nil }, func(l *raft.Log) { l.Extensions = l.Extensions[:3] },
			func(l *raft.Log) { l.Extensions = append([]byte{2}, l.Extensions[1:]...) },
			func(l *raft.Log) { l.Extensions = append(bytes.Clone(l.Extensions), 0) },
		} {
			l := &raft.Log{Index: 5, Term: 3, Data: []byte("data")}
			if err := seal([]*raft.Log{l}); err != nil {
				t.Fatal(err)
			}
			change(l)
			var bad *CorruptError
			if err := follower.StoreLogs([]*raft.Log{l}); !errors.As(err, &bad) || bad.Index != 5 {
				t.Errorf("%+v: %v", l, err)
			}
		}
	})
}

// Fields behind the checksum, which a later program may write, are covered by it and otherwise left alone.
func TestChecksumWithFields(t *testing.T) {
	l := &raft.Log{Index: 1, Term: 1, Data: []byte("data")}
	fields := []byte{9, 2, 'h', 'i'}
	l.Extensions = append(binary.BigEndian.AppendUint32([]byte{sumVersion}, checksum(l, fields)), fields...)
	if err := verify(l); err != nil {
		t.Error(err)
	}
	l.Extensions[len(l.Extensions)-1] ^= 1
	if err := verify(l); !errors.Is(err, errChecksum) {
		t.Errorf("a changed field: %v", err)
	}
}

// A directory of a program from before checksums opens, and what is appended gets them.
func TestEntriesWithoutChecksum(t *testing.T) {
	dir := t.TempDir()
	old, err := wal.Open(dir, wal.WithSegmentSize(smallSegment), wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, old, entries(1, 20))
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := openDurable(t, dir)
	mustStore(t, s, entries(21, 30))
	want := raft.NewInmemStore()
	mustStore(t, want, entries(1, 30))
	sameLog(t, s, want)
	var l raft.Log
	if err := s.GetLog(21, &l); err != nil || len(l.Extensions) != sumSize {
		t.Errorf("extensions %x, %v", l.Extensions, err)
	}
}

// Whichever bit of the log's file changes: no entry comes back as something else than was stored, and none is
// missing.
func TestEveryFlippedBit(t *testing.T) {
	dir := t.TempDir()
	s := openDurable(t, dir)
	const last = 12
	for i := uint64(1); i <= last; i += 3 {
		mustStore(t, s, entries(i, i+2))
	}
	s.Close()
	path := onlySegment(t, dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, used := differ(good, make([]byte, len(good)))
	for at := range used {
		b := bytes.Clone(good)
		b[at] ^= 1 << (at % 8) // of each byte one, and of headers, of which there are many, all
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readAll(dir, last); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// Check finds damage in any file, and says which entry it hit.
func TestCheckReadsEveryFile(t *testing.T) {
	dir := t.TempDir()
	snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s := openDurable(t, dir)
	for i := uint64(1); i <= 3; i++ {
		mustStore(t, s, []*raft.Log{{Index: i, Term: 1,
			Data: bytes.Repeat([]byte{byte('a' + i)}, smallSegment)}})
	}
	s.Close()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) < 3 {
		t.Fatalf("segments %v, %v", names, err)
	}
	for i, name := range names[:3] {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(good)
		b[smallSegment/2] ^= 0x40
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
		if err == nil {
			_, err = Check(s, snaps, dir)
			s.Close()
		}
		var bad *CorruptError
		if !errors.As(err, &bad) || bad.Index != uint64(i+1) || bad.File != name {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err = OpenDurable(dir, smallSegment, hclog.NewNullLogger()); err != nil {
			t.Fatal(err)
		}
		if m, err := Check(s, snaps, dir); err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		s.Close()
	}
}

func onlySegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments %v, %v", names, err)
	}
	return names[0]
}

// readAll opens a damaged log, and returns what is wrong with the way in which the damage is noticed.
func readAll(dir string, last uint64) error {
	s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
	var bad *CorruptError
	if errors.As(err, &bad) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if end, err := s.LastIndex(); err != nil || end != last {
		return errors.Join(err, errors.New("the end of the log is missing"))
	}
	for i, want := range entries(1, last) {
		var l raft.Log
		err := s.GetLog(uint64(i+1), &l)
		if errors.As(err, &bad) && bad.Index == uint64(i+1) && strings.HasPrefix(bad.File, dir) {
			continue
		}
		if err != nil || !bytes.Equal(l.Data, want.Data) || l.Term != want.Term {
			return errors.Join(err, errors.New("it came back as something else: "+string(l.Data)))
		}
	}
	return nil
}

// A write that was cut short is no damage: whatever of the last append is missing, from any place on or in
// any sector, the log opens with everything before it, or with all.
func TestEveryTornAppend(t *testing.T) {
	dir := t.TempDir()
	s := openDurable(t, dir)
	mustStore(t, s, entries(1, 12))
	path := onlySegment(t, dir)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	batch := entries(13, 20)
	for _, l := range batch {
		l.Data = bytes.Repeat([]byte{byte(l.Index)}, 150)
	}
	mustStore(t, s, batch)
	s.Close()
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := differ(before, after)
	try := func(what string, at int, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
		if err != nil {
			t.Fatalf("%s %d: %v", what, at, err)
		}
		defer s.Close()
		last, err := s.LastIndex()
		if err != nil || last != 12 && !bytes.Equal(b, after) {
			t.Fatalf("%s %d: the log ends with entry %d, %v", what, at, last, err)
		}
		if err := s.StoreLogs(entries(last+1, last+1)); err != nil {
			t.Fatalf("%s %d: %v", what, at, err)
		}
	}
	for at := begin / 8 * 8; at < end; at += 8 {
		b := bytes.Clone(after)
		clear(b[at:])
		try("cut at", at, b)
	}
	for at := begin / sector * sector; at < end; at += sector {
		b := bytes.Clone(after)
		copy(b[at:at+sector], before[at:])
		try("without sector", at, b)
	}
}

// The end of the newest file and a crash after it was put right: what follows is found where it belongs.
func TestTornAppendIsCleared(t *testing.T) {
	dir := t.TempDir()
	s := openDurable(t, dir)
	mustStore(t, s, entries(1, 3))
	path := onlySegment(t, dir)
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, used := differ(b, make([]byte, len(b)))
	used = (used + 7) / 8 * 8
	copy(b[used+16:], "what is left of an append that was cut short")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkTail(dir); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(path); err != nil || lastNonZero(b) != used {
		t.Errorf("%d bytes are left, %v", lastNonZero(b)-used, err)
	}
}

func FuzzTail(f *testing.F) {
	dir := f.TempDir()
	s := openDurable(f, dir)
	mustStore(f, s, entries(1, 3))
	mustStore(f, s, entries(4, 6))
	s.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*.wal"))
	b, err := os.ReadFile(names[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:lastNonZero(b)])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "00000000000000000001-0000000000000000.wal")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := checkTail(dir)
		var bad *CorruptError
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		after, _ := os.ReadFile(path)
		if end, _ := wholeAppends(b); !bytes.Equal(after[:end], b[:end]) {
			t.Error("whole appends were changed")
		}
		if err == nil {
			if end, _ := wholeAppends(after); lastNonZero(after) > end {
				t.Error("something is left behind the end")
			}
		}
	})
}
