package ci

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// What others allocate once is not held against who allocates nothing; what is allocated each time is.
func TestAllocs(t *testing.T) {
	const runs = 10
	calls := 0
	others := func() {
		if calls++; calls <= 2*runs { // AllocsPerRun begins with a call that does not count
			kept = make([]byte, 100)
		}
	}
	if n := Allocs(runs, 0, others); n != 0 || calls < 2*runs {
		t.Errorf("%v allocations, of %d calls", n, calls)
	}
	calls = 0
	if n := Allocs(runs, 1, others); n != 1 || calls > runs+1 {
		t.Errorf("%v allocations, of %d calls", n, calls)
	}
	if n := Allocs(runs, 0, func() { kept = make([]byte, 100) }); n != 1 {
		t.Errorf("%v allocations, each time", n)
	}
}

var kept []byte

// fake takes down how a test ends.
type fake struct {
	testing.TB
	failed bool
	how    string
}

func (f *fake) Helper()      {}
func (f *fake) Failed() bool { return f.failed }

func (f *fake) Fatalf(format string, args ...any) {
	f.how = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fake) Skipf(format string, args ...any) {
	f.how = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// end runs what is to end the test, and returns how it did.
func (f *fake) end(test func()) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		test()
	}()
	<-done
	return f.how
}

func TestLate(t *testing.T) {
	late := func(f *fake) string { return f.end(func() { Latef(f, "%s is not ready", "n1") }) }
	if got := late(&fake{TB: t}); got != "failed: missed a deadline: n1 is not ready" {
		t.Errorf("in real time: %q", got)
	}
	if got := late(&fake{TB: t, failed: true}); got != "failed: n1 is not ready" {
		t.Errorf("after another failure: %q", got)
	}
	bubble.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour)
		if got := late(&fake{TB: t}); got != "failed: n1 is not ready" {
			t.Errorf("in a bubble: %q", got)
		}
	})
}

func TestAwaited(t *testing.T) {
	for err, want := range map[error]string{
		nil: "",
		fmt.Errorf("cluster: %w", context.DeadlineExceeded): "failed: missed a deadline: n1 ready: cluster: context deadline exceeded",
		os.ErrDeadlineExceeded:                              "failed: missed a deadline: n1 ready: i/o timeout",
		io.EOF:                                              "failed: n1 ready: EOF",
	} {
		f := &fake{TB: t}
		if got := f.end(func() { Awaited(f, "n1 ready", err) }); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, test := range []struct{ webfarm, ci, want string }{
		{"", "", "skipped"},
		{"", "false", "skipped"},
		{"", "true", "failed"},
		{"1", "", "failed"},
	} {
		t.Setenv("WEBFARM_CI", test.webfarm)
		t.Setenv("CI", test.ci)
		f := &fake{TB: t}
		got := f.end(func() { Missingf(f, "no %s", "nginx") })
		if how, why, _ := strings.Cut(got, ": "); how != test.want || why != "not on this machine: no nginx" {
			t.Errorf("WEBFARM_CI=%q CI=%q: %q", test.webfarm, test.ci, got)
		}
	}
}
