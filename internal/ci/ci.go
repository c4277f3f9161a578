// Package ci is what tests say to .ci/run, by words in what they print.
//
// A test that fails only because something did not happen in time says so by Latef: machines are busy, and .ci/run runs such a
// test again. What a test needs of its machine and does not find it says by Missingf: there it is skipped, and in CI it fails.
package ci

import (
	"context"
	"errors"
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

const (
	// LateMark begins what a test prints that missed a deadline.
	LateMark = "missed a deadline: "
	// MissingMark begins what a test prints whose machine lacks something.
	MissingMark = "not on this machine: "
)

// Latef fails the test because something did not happen in time, and ends it like Fatalf. It marks nothing if the test has
// failed before, and nothing in a bubble, whose time does not pass for a machine that is busy: both are faults. Otherwise it says
// how busy the machine is, so that a fault is not taken for that.
//
// Tests of an order that is forced, of a model and of an invariant never call it for what they test, only for what they wait
// for before.
func Latef(t testing.TB, format string, args ...any) {
	t.Helper()
	if !t.Failed() && !inBubble() {
		format = LateMark + format
		t.Logf("when a deadline was missed: %s", busy())
	}
	t.Fatalf(format, args...)
}

// Awaited ends the test if what it waited for ended in an error, by Latef if that is the end of a deadline.
func Awaited(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		Latef(t, "%s: %v", what, err)
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
}

// Allocs returns how often f allocates memory, on average over so many runs. testing.AllocsPerRun counts what others
// in the process allocate meanwhile as well: where that is more than most, it is asked again, up to four times, and
// the least counts.
func Allocs(runs int, most float64, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 4 {
		if least <= most {
			break
		}
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

// inBubble reports whether time is that of testing/synctest, where it begins with the year 2000.
func inBubble() bool { return time.Now().Year() < 2010 }

// Missingf ends a test whose machine lacks what the words name. It is skipped; in CI it fails.
func Missingf(t testing.TB, format string, args ...any) {
	t.Helper()
	if Enabled() {
		t.Fatalf(MissingMark+format, args...)
	}
	t.Skipf(MissingMark+format, args...)
}

// Enabled reports whether the tests run in CI: WEBFARM_CI, or CI, as most such services set it, is set to something other than
// "false".
func Enabled() bool {
	for _, name := range []string{"WEBFARM_CI", "CI"} {
		if v := os.Getenv(name); v != "" && v != "false" {
			return true
		}
	}
	return false
}

// Torture reports whether tests take their long form, by `make torture`: the same code, for longer.
func Torture() bool { return os.Getenv("WEBFARM_TORTURE") != "" }

// LessGC has garbage be collected less often, until the program has a GiB, if the environment does not say how
// often. Call it in TestMain of tests whose farms live for moments: nearly all that they allocate is garbage.
func LessGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(1 << 30)
	}
}

// Beside has so many parallel tests run beside each other for each processor, if -parallel does not say how many. Call it in
// TestMain of tests that mostly wait.
func Beside(perProcessor int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa(perProcessor*runtime.GOMAXPROCS(0)))
	}
}
