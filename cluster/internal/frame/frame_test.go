package frame

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	for _, n := range []int{0, 1, step - 1, step, step + 1, 5*step + 3} {
		want := bytes.Repeat([]byte("webfarm"), n/7+1)[:n]
		src := bytes.NewReader(append(bytes.Clone(want), "more"...))
		got, err := Read(iotest.HalfReader(src), n)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", n, len(got), err)
		}
		if rest, _ := io.ReadAll(src); string(rest) != "more" {
			t.Errorf("%d bytes: %q is left, want what follows them", n, rest)
		}
		for _, short := range []int{0, n / 2, n - 1} {
			if n == 0 {
				break
			}
			if _, err := Read(bytes.NewReader(want[:short]), n); err != io.ErrUnexpectedEOF {
				t.Errorf("%d of %d bytes: %v, want io.ErrUnexpectedEOF", short, n, err)
			}
		}
	}
}

func TestRead_Error(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read(io.MultiReader(bytes.NewReader(make([]byte, step)), iotest.ErrReader(broken)),
		2*step); err != broken {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// A length that only claims to be takes no memory.
func TestRead_Memory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Read(bytes.NewReader([]byte("little")), 1<<30); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes were taken for six", took)
	}
}
