// Package corpus holds tests of formats to what was committed: the seeds of fuzz targets are what the encoders write, and what
// somebody might make of that who means harm.
package corpus

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

var write = flag.Bool("corpus", false, "write the seeds below testdata/fuzz anew")

// Check compares what the encoders write now, by name, for each fuzz target, and what hostile makes of it, with the seeds in
// testdata/fuzz. As formats must not change, it fails where one does; with -corpus it writes the seeds instead.
func Check(t *testing.T, targets map[string]map[string][]byte) {
	t.Helper()
	for target, seeds := range targets {
		dir := filepath.Join("testdata", "fuzz", target)
		if *write {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range seeds {
			check(t, filepath.Join(dir, name), b)
			for what, bad := range hostile(b) {
				check(t, filepath.Join(dir, name+"-"+what), bad)
			}
		}
	}
}

func check(t *testing.T, file string, b []byte) {
	t.Helper()
	text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b)
	if *write {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("%s: the format has changed, or `go test -run Corpus -corpus` was not run: %v\n got %s\nwant %s", file, err, got, text)
	}
}

// hostile returns what somebody could make of an encoding: torn, longer than it says, with a length that lies, of another
// version, and of a size that lies.
func hostile(b []byte) map[string][]byte {
	mid := len(b) / 2
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	return map[string][]byte{
		"torn":    slices.Clone(b[:mid]),
		"longer":  append(slices.Clone(b), 0),
		"liesmid": slices.Concat(b[:mid], huge, b[mid:]),
		"lies":    slices.Concat(b[:min(3, len(b))], huge, b[min(3, len(b)):]),
		"version": append([]byte{0xee}, b[1:]...),
		"size":    append([]byte{0xff, 0xff, 0xff, 0xff}, b[min(4, len(b)):]...),
	}
}

// Frugal does f, and fails if it took much more memory than its input of so many bytes justifies: lengths are claims, not facts.
func Frugal(t *testing.T, input int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20+256*uint64(input) {
		t.Fatalf("%d bytes of input took %d bytes of memory", input, took)
	}
}
