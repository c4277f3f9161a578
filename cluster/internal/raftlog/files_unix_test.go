//go:build unix

package raftlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

const outOfFilesEnv = "RAFTLOG_TEST_OUT_OF_FILES"

// alone runs a test in a process of its own, since it takes all file descriptors of its process. It reports
// whether this is that process; then dir is where the test may write.
func alone(t *testing.T) (dir string, child bool) {
	t.Helper()
	if dir := os.Getenv(outOfFilesEnv); dir != "" {
		return dir, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), outOfFilesEnv+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return "", false
}

// limitFiles sets the limit of descriptors of the process to n, and returns what it was. No file can be
// opened then whose descriptor would be n or more; what is open stays open.
func limitFiles(t *testing.T, n uint64) (before uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before, limit.Cur = uint64(limit.Cur), min(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return before
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			ci.Latef(t, "%s", what)
		}
	}
}

// big fills a segment, so that the next entry needs another file.
func big(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Data: []byte(strings.Repeat("x", 2*smallSegment))}
}

// A process that has run out of file descriptors when the log needs its next file acknowledges nothing until
// there are some again, whether it finds none at the first step of that or at a later one. Then it goes on,
// with all entries before.
func TestOutOfFiles(t *testing.T) {
	dir, child := alone(t)
	if !child {
		return
	}
	s := openDurable(t, dir)
	mustStore(t, s, entries(1, 10))
	before := limitFiles(t, 0)
	mustStore(t, s, []*raft.Log{big(11)})
	if err := s.DeleteRange(100, 200); err != nil { // waits until raft-wal has tried to make the next file
		t.Fatal(err)
	}
	if Starved(s) {
		t.Fatal("nothing waits yet")
	}
	stored := make(chan error, 1)
	go func() { stored <- s.StoreLogs(entries(12, 20)) }() // raft-wal refuses this one
	await(t, "the write waits for a descriptor", func() bool { return Starved(s) })
	select {
	case err := <-stored:
		t.Fatalf("acknowledged without a file to write to: %v", err)
	default:
	}
	for n := uint64(3); n < 40; n++ { // the opening gets a step further with each, and is undone again
		limitFiles(t, n)
		time.Sleep(10 * time.Millisecond)
	}
	limitFiles(t, before)
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	if Starved(s) {
		t.Error("the write has returned, and still waits")
	}
	mustStore(t, s, entries(21, 30))
	s.Close()
	s, err := OpenDurable(dir, smallSegment, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := raft.NewInmemStore()
	mustStore(t, want, append(append(entries(1, 10), big(11)), entries(12, 30)...))
	sameLog(t, s, want)
	if names, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(names) < 2 {
		t.Errorf("segments %v, %v", names, err)
	}
}

// A write that waits for a descriptor ends with the log, and so does the process that closes it.
func TestAbandonWhileOutOfFiles(t *testing.T) {
	dir, child := alone(t)
	if !child {
		return
	}
	s := openDurable(t, dir)
	limitFiles(t, 0)
	mustStore(t, s, []*raft.Log{big(1)})
	if err := s.DeleteRange(100, 200); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() { stored <- s.StoreLogs(entries(2, 2)) }()
	await(t, "the write waits for a descriptor", func() bool { return Starved(s) })
	Abandon(s)
	// raft's cache keeps the text alone
	if err := <-stored; err == nil || !strings.Contains(err.Error(), syscall.EMFILE.Error()) {
		t.Errorf("the write returns %v", err)
	}
	if err := s.Close(); err != nil && !errors.Is(err, wal.ErrClosed) {
		t.Error(err)
	}
}

// flaky makes the opening of a log fail a number of times as a process does that has run out of file
// descriptors.
func flaky(t *testing.T, dir string, failures *atomic.Int32, logger hclog.Logger) *reopening {
	t.Helper()
	r, err := newReopening(func() (*wal.WAL, error) {
		if failures.Add(-1) >= 0 {
			return nil, &os.PathError{Op: "open", Path: dir, Err: syscall.EMFILE}
		}
		return openWAL(dir, smallSegment, logger)
	}, logger)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The log is opened anew as often as it takes, and says so once.
func TestReopensWhenThereAreFiles(t *testing.T) {
	var failures atomic.Int32
	var out bytes.Buffer
	dir := t.TempDir()
	r := flaky(t, dir, &failures, hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Warn}))
	defer r.Close()
	mustStore(t, r, entries(1, 10))
	failures.Store(5)
	tries := 0
	err := r.write(func(w *wal.WAL) error {
		if tries++; tries == 1 {
			return &os.PathError{Op: "open", Path: "next segment", Err: syscall.EMFILE}
		}
		return w.StoreLogs(entries(11, 20))
	})
	if err != nil || tries != 2 || failures.Load() >= 0 {
		t.Fatalf("%v after %d tries; %d failures left", err, tries, failures.Load())
	}
	said := out.String()
	if n := strings.Count(said, "nothing is acknowledged"); n != 1 || !strings.Contains(said, "ulimit -n") {
		t.Errorf("said %d times:\n%s", n, said)
	}
	want := raft.NewInmemStore()
	mustStore(t, want, entries(1, 20))
	sameLog(t, r, want)
}

// Without descriptors nothing is known of a snapshot: it is neither damaged nor missing.
func TestSnapshotsOutOfFiles(t *testing.T) {
	dir, child := alone(t)
	if !child {
		return
	}
	snaps, err := NewSnapshots(dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	write := func(index uint64) error {
		sink, err := snaps.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			return err
		}
		_, err = io.WriteString(sink, "state")
		return errors.Join(err, sink.Close())
	}
	for i := range uint64(3) {
		if err := write(10 + i); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := snaps.List()
	if err != nil || len(listed) != retainedSnapshots || listed[0].Index != 12 || listed[1].Index != 11 {
		t.Fatalf("listed %v, %v", listed, err)
	}
	before := limitFiles(t, 0)
	if got, err := snaps.List(); !descriptors.Exhausted(err) {
		t.Errorf("List returns %v, %v", got, err)
	}
	if _, _, err := snaps.Open(listed[0].ID); !descriptors.Exhausted(err) || damaged(err) {
		t.Errorf("Open returns %v", err)
	}
	if err := write(20); !descriptors.Exhausted(err) {
		t.Errorf("Create returns %v", err)
	}
	if m, err := Check(NewMemory(), snaps, dir); !descriptors.Exhausted(err) || len(m.Damaged) > 0 {
		t.Errorf("Check returns %+v, %v", m, err)
	}
	limitFiles(t, before)
	left, err := filepath.Glob(filepath.Join(dir, snapshotFolder, "*"+unfinished))
	if len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if again, err := snaps.List(); err != nil || len(again) != 2 || again[0].ID != listed[0].ID {
		t.Errorf("listed %v, %v", again, err)
	}
	if _, r, err := snaps.Open(listed[0].ID); err != nil {
		t.Error(err)
	} else {
		r.Close()
	}
}

func damaged(err error) bool {
	var bad *CorruptError
	return errors.As(err, &bad)
}
