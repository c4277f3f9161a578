//go:build unix

package blob

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
)

// The disk refuses one thing after the other. Each time the error says why, what was there can be read,
// nothing is left over, and the same blob can be put when the disk is well again.
func TestDiskRefuses(t *testing.T) {
	for _, why := range []struct {
		errno syscall.Errno
		err   error
		says  string
	}{
		{syscall.ENOSPC, ErrNoRoom, "make room"},
		{syscall.EDQUOT, ErrNoRoom, "make room"},
		{syscall.EROFS, syscall.EROFS, "mount its disk for writing"},
		{syscall.EIO, syscall.EIO, "input/output error"},
		{syscall.EMFILE, syscall.EMFILE, "raise"},
	} {
		for _, step := range []string{"create", "write", "sync", "rename", "sync folder"} {
			t.Run(step+" "+why.errno.Error(), func(t *testing.T) {
				diskRefuses(t, looseFirst, step, why.errno, why.err, why.says)
			})
			t.Run("in a pack "+step+" "+why.errno.Error(), func(t *testing.T) {
				diskRefuses(t, 0, step, why.errno, why.err, why.says)
			})
		}
	}
}

func diskRefuses(t *testing.T, loose int, step string, errno syscall.Errno, want error, says string) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	s.loose = loose
	refs := fill(t, s, 3, 1000)
	s.step = func(at string) error {
		if at == step {
			return &os.PathError{Op: step, Path: "blob", Err: errno}
		}
		return nil
	}
	_, err := s.Put(blobtest.Context(t), Hash{}, strings.NewReader("new"))
	if !errors.Is(err, want) || !errors.Is(err, errno) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v", err)
	}
	holds(t, s, refs)
	s.step = nil
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	h, err := s.Put(blobtest.Context(t), Sum([]byte("new")), strings.NewReader("new"))
	if err != nil {
		t.Fatalf("when the disk is well again: %v", err)
	}
	holds(t, s, append(refs, Ref{Hash: h, Size: 3}))
	if s.used != 3003 {
		t.Errorf("%d bytes are taken, for 3003", s.used)
	}
}
