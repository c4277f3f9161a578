//go:build unix

package raftlog

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const outOfFilesEnv = "RAFTLOG_TEST_OUT_OF_FILES"

// A process that has run out of file descriptors when the log needs its next file fails that write and no other: the entries
// before are there, and the log goes on when there are descriptors again.
func TestOutOfFiles(t *testing.T) {
	if dir := os.Getenv(outOfFilesEnv); dir != "" {
		outOfFiles(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfFiles$") // its limit is the whole process's
	cmd.Env = append(os.Environ(), outOfFilesEnv+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func outOfFiles(t *testing.T, dir string) {
	s := openDurable(t, dir)
	mustStore(t, s, entries(1, 10))
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(limit.Cur, 64)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	big := &raft.Log{Index: 11, Term: 1, Data: []byte(strings.Repeat("x", 2*smallSegment))} // fills the segment
	mustStore(t, s, []*raft.Log{big})
	if err := s.DeleteRange(100, 200); err != nil { // waits until raft-wal has tried to make the next file
		t.Fatal(err)
	}
	for _, f := range held {
		f.Close()
	}
	mustStore(t, s, entries(12, 20)) // raft-wal refuses this one
	mustStore(t, s, entries(21, 30))
	s.Close()
	s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := raft.NewInmemStore()
	mustStore(t, want, append(append(entries(1, 10), big), entries(12, 30)...))
	sameLog(t, s, want)
	if names, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(names) < 2 {
		t.Errorf("segments %v, %v", names, err)
	}
}
