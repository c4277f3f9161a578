package descriptors

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("too many open files"), false},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}, true},
		{fmt.Errorf("open the log: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENFILE}), true},
		{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}, true},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC}, false},
	} {
		if got := Exhausted(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
		if explained := Explain(c.err); (explained != c.err) != c.want {
			t.Errorf("%v: explained as %v", c.err, explained)
		}
	}
}

func TestExplain(t *testing.T) {
	err := Explain(&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE})
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v does not wrap EMFILE", err)
	}
	if n := Limit(); n > 0 && !strings.Contains(err.Error(), fmt.Sprintf("may have %d files", n)) {
		t.Errorf("%v does not say that the limit is %d", err, n)
	}
}

func TestPause(t *testing.T) {
	d, total := time.Duration(0), time.Duration(0)
	for range 8 {
		d = Pause(d)
		total += d
	}
	if d != 640*time.Millisecond || total != 1275*time.Millisecond || Pause(d) != time.Second ||
		Pause(time.Hour) != time.Second {
		t.Errorf("after 8 pauses: %v, %v in all, then %v", d, total, Pause(d))
	}
}

func TestWarningOncePerMinute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var w Warning
		said := 0
		for range 150 {
			if w.Due() {
				said++
			}
			time.Sleep(time.Second)
		}
		if said != 3 {
			t.Errorf("said %d times in 150 s", said)
		}
	})
}
