package ci

import (
	"runtime"
	"strings"
	"testing"
)

func waits(c chan struct{}) { <-c }

// A goroutine of the package is found for as long as it runs, and the one that asks is not.
func TestGoroutines(t *testing.T) {
	const path = "github.com/seed48eb2e21/webfarm/internal/ci"
	of := func(what string) (n int) {
		for _, stack := range goroutines(path) {
			if strings.Contains(stack, what) {
				n++
			}
		}
		return n
	}
	c := make(chan struct{})
	go waits(c)
	for of("ci.waits") != 1 {
		runtime.Gosched()
	}
	close(c)
	for of("ci.waits") != 0 {
		runtime.Gosched()
	}
	if n := of("ci.goroutines("); n != 0 {
		t.Errorf("who asks is counted %d times", n)
	}
	if n := len(goroutines("github.com/seed48eb2e21/web")); n != 0 {
		t.Errorf("%d goroutines of a path that is the beginning of another", n)
	}
}
