package bubble

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Under the race detector this ends the process unless the bubble has one processor.
func TestTimersDueAtOnce(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 2000 {
					<-time.NewTimer(0).C
				}
			})
		}
		wg.Wait()
	})
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors after the bubble, %d before", now, before)
	}
}

// Bubbles that run beside each other share the limit, and the last one gives the processors back.
func TestParallelBubbles(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Run("both", func(t *testing.T) {
		for _, name := range []string{"one", "two"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				Test(t, func(t *testing.T) { time.Sleep(time.Hour) })
			})
		}
	})
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors after the bubbles, %d before", now, before)
	}
}

// A bubble made in another way ends the race run of its package once in a while.
func TestNoOtherBubbles(t *testing.T) {
	call, callers := []byte("synctest."+"Test("), 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, call) {
			return err
		}
		callers++
		if filepath.Base(path) != "bubble.go" {
			t.Errorf("%s calls synctest.Test; bubble.Test is safe under the race detector", path)
		}
		return nil
	})
	if err != nil || callers == 0 {
		t.Errorf("%d callers found, %v", callers, err)
	}
}
