package ci

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// What is open is counted by kind, and is seen to be closed.
func TestOpenNow(t *testing.T) {
	before, told := openNow()
	if !told {
		if runtime.GOOS == "linux" {
			t.Fatal("the system does not tell")
		}
		Missingf(t, "descriptors that are listed below /proc/self/fd")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file, err := os.Create(t.TempDir() + "/open")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := freeport.Addr(); err != nil { // which holds a socket, and is not taken for a leak
		t.Fatal(err)
	}
	left := stillOpen(before, 0)
	for _, want := range []string{"1 socket", "2 pipe", "1 " + file.Name()} {
		if !strings.Contains(left, want) {
			t.Errorf("%q are open, %q is not among them", left, want)
		}
	}
	for _, c := range []interface{ Close() error }{l, r, w, file} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := stillOpen(before, leftTime); left != "" {
		t.Errorf("%s are open, and all were closed", left)
	}
}

func TestKindOf(t *testing.T) {
	for to, want := range map[string]string{"socket:[123]": "socket", "pipe:[7]": "pipe", "/dev/null": "/dev/null",
		"anon_inode:[eventpoll]": "", "anon_inode:[eventfd]": "", "anon_inode:inotify": "anon_inode:inotify",
		"anon_inode:[pidfd]": "anon_inode:[pidfd]"} {
		if got := kindOf(to); got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}
