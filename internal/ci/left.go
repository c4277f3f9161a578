package ci

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leftTime is how long goroutines may take to end when the tests have.
const leftTime = time.Minute

// Run is Main for tests that leave nothing running: when they have passed, no
// goroutine may be left that runs code of the packages below path, an import path: one that is has leaked.
func Run(m *testing.M, path string) int {
	code := Main(m)
	if code != 0 {
		return code
	}
	left := goroutines(path)
	for end := time.Now().Add(leftTime); len(left) > 0 && time.Now().Before(end); left = goroutines(path) {
		<-time.After(10 * time.Millisecond)
	}
	if len(left) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "FAIL: %d goroutines are left, the first of them:\n%s\n", len(left), left[0])
	return 1
}

// goroutines returns the stacks of those that run code of the packages below path, but for the one that asks.
func goroutines(path string) (found []string) {
	b := make([]byte, 1<<20)
	for n := runtime.Stack(b, true); ; n = runtime.Stack(b, true) {
		if n < len(b) {
			b = b[:n]
			break
		}
		b = make([]byte, 2*len(b))
	}
	for i, stack := range strings.Split(string(b), "\n\n") {
		if i > 0 && (strings.Contains(stack, path+".") || strings.Contains(stack, path+"/")) {
			found = append(found, stack)
		}
	}
	return found
}
