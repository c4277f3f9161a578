package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// contents returns the checksums of all files below dir, but for the lock, which every look at the directory
// takes.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		b, err := os.ReadFile(path)
		sums[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) < 3 {
		t.Fatalf("%s has %v: that is no data directory", dir, sums)
	}
	return sums
}

// refusesDir opens a node, which must fail with want and all the words, and must change nothing in its
// directory.
func refusesDir(t *testing.T, c Config, want error, words ...string) {
	t.Helper()
	before := contents(t, c.Dir)
	c.Machines, c.Logger = map[string]func() StateMachine{"kv": newKV}, testLogger()
	n, err := Open(t.Context(), c)
	if err == nil {
		n.Close()
		if errors.Is(want, ErrNameTaken) { // which the original has to say within copyPatience
			ci.Latef(t, "it was not refused")
		}
		t.Fatal("it was not refused")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v; it does not say %q", err, word)
		}
	}
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	if after := contents(t, c.Dir); !maps.Equal(before, after) {
		t.Errorf("the directory had %v and has %v", before, after)
	}
}

// durableNode returns the data directory of a farm of one that has stopped.
func durableNode(t *testing.T, farm string) string {
	t.Helper()
	dir := t.TempDir()
	c := Config{Farm: farm, Dir: dir, Expect: 1, Machines: map[string]func() StateMachine{"kv": newKV},
		Logger: testLogger()}
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDirOfAnotherFarm(t *testing.T) {
	t.Parallel()
	dir := durableNode(t, "shop")
	refusesDir(t, Config{Farm: "depot", Dir: dir}, ErrOtherFarm, `"shop"`, `"depot"`, dir)
	n := openTest(t, Config{Farm: "shop", Dir: dir})
	ready(t, n)
}

// A copied directory is refused as long as the original runs. Then it is as good as the original.
func TestCopiedDirIsNotTouched(t *testing.T) {
	inRealTime(t)
	dir, copied := durableNode(t, ""), t.TempDir()
	original := openTest(t, Config{Dir: dir})
	ready(t, original)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	original = openTest(t, Config{Dir: dir, Listen: original.Addr()})
	refusesDir(t, Config{Dir: copied}, ErrNameTaken, copied, original.Addr(), "empty directory")
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	moved := openTest(t, Config{Dir: copied}) // the disk was moved to another machine, in order
	ready(t, moved)
}

// The Advertise of a node changes, while the old address still leads to it, by a port that is forwarded. The
// node does not take itself for the original of its directory. That is so whether or not the forwarder waits
// for the node.
// Slow: real nodes start on real disks, one after the other.
func TestDirIsNoCopyOfItself(t *testing.T) {
	t.Parallel()
	for _, patient := range []bool{false, true} {
		dir := durableNode(t, "shop")
		n := openTest(t, Config{Farm: "shop", Dir: dir})
		ready(t, n)
		listen := n.Addr()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		outside := forwarded(t, listen, patient)
		for _, advertise := range []string{outside, "", outside} {
			n := openTest(t, Config{Farm: "shop", Dir: dir, Listen: listen, Advertise: advertise})
			ready(t, n)
			if l, err := n.dir.Label(); err != nil || l.Addr != firstOf(advertise, listen) {
				t.Errorf("its label is %+v, %v", l, err)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// forwarded returns an address that leads to another one. A patient one waits until somebody listens there.
func forwarded(t *testing.T, to string, patient bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	connect := func() (c net.Conn, err error) {
		for {
			if c, err = net.Dial("tcp", to); err == nil || !patient || !sleep.For(ctx, 10*time.Millisecond) {
				return c, err
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				d, err := connect()
				if err != nil {
					return
				}
				defer context.AfterFunc(ctx, func() { c.Close(); d.Close() })()
				wg.Go(func() { io.Copy(d, c); d.Close() })
				io.Copy(c, d)
			})
		}
	})
	return l.Addr().String()
}

// A directory of before there were labels opens, and gets one; a damaged label keeps nobody from starting.
// Slow: real nodes start on real disks, one after the other.
func TestDirWithoutLabel(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "webfarm label 1 00000000\n{}\n"} {
		dir := durableNode(t, "shop")
		path := filepath.Join(dir, "label")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n := openTest(t, Config{Farm: "shop", Dir: dir})
		ready(t, n)
		if l, err := n.dir.Label(); err != nil || l != (disk.Label{Farm: "shop", Addr: n.Addr()}) {
			t.Errorf("its label is %+v, %v", l, err)
		}
	}
}
