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

// Run is Main for tests that leave nothing running, and nothing open: when they have passed, no goroutine may be left
// that runs code of the packages below path, an import path, and there may be no more descriptors of any kind than
// before (where the system lists them, on Linux; elsewhere it says that they are not counted). What is left has
// leaked.
func Run(m *testing.M, path string) int {
	before, told := openNow()
	code := Main(m)
	if code != 0 {
		return code
	}
	if code = runs(path); code != 0 {
		return code
	}
	if !told {
		fmt.Printf("descriptors are not counted on %s\n", runtime.GOOS)
		return 0
	}
	if left := stillOpen(before, leftTime); left != "" {
		fmt.Fprintf(os.Stderr, "FAIL: descriptors are left: %s\n", left)
		return 1
	}
	return 0
}

// runs returns 1, and says so, if goroutines of the packages below path do not end.
func runs(path string) int {
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
