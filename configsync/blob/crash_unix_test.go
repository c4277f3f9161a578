//go:build unix

package blob

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// exhaust opens files until there is no descriptor left, of 64.
func exhaust() (files []*os.File) {
	var r syscall.Rlimit
	exitOn(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r))
	r.Cur = 64
	exitOn(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r))
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return files
		}
		files = append(files, f)
	}
}

// A process has no descriptors left. What it says helps, nothing is lost, and it goes on when there are some
// again.
func TestNoDescriptors(t *testing.T) {
	said, _ := runChild(t, "starve "+t.TempDir())
	if len(said) != 3 || said[2] != "then: abc, 0 lost" {
		t.Fatalf("%q", said)
	}
	for _, line := range said[:2] {
		if !strings.Contains(line, "this process may have 64 files") {
			t.Errorf("it does not say what to do: %s", line)
		}
	}
}
