package raftlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// Files of the log that are cut short or gone are damage, which names the file, and nothing is changed by
// saying so.
func TestFilesCutShort(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		size       int64 // -1: the file is gone
		index      uint64
	}{
		{"newest segment empty", "*.wal", 0, 1},
		{"newest segment within its header", "*.wal", segmentHeader - 1, 1},
		{"list empty", "wal-meta.db", 0, 0},
		{"list gone", "wal-meta.db", -1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openDurable(t, dir)
			mustStore(t, s, entries(1, 10))
			s.Close()
			found, _ := filepath.Glob(filepath.Join(dir, tt.file))
			if len(found) != 1 {
				t.Fatalf("found %v", found)
			}
			var err error
			if tt.size < 0 {
				err = os.Remove(found[0])
			} else {
				err = os.Truncate(found[0], tt.size)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err = OpenDurable(dir, smallSegment, hclog.NewNullLogger())
				var bad *CorruptError
				if !errors.As(err, &bad) || bad.File != found[0] || bad.Index != tt.index ||
					strings.Contains(err.Error(), "runtime") {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
