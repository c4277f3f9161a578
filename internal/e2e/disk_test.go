package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// The end of a follower's log is lost, as after a power failure with a disk that lies about what it has written.
func TestTruncatedLog(t *testing.T) {
	plain(t)
	scenario(t)
	f := newFarm(t, 3, true)
	f.formTogether()
	l := f.load()
	n := f.follower()
	l.strike(n.kill)
	truncateLog(t, n)
	l.goOn()
	n.again()
	n.awaitReady()
	f.settleUnderLoad()
	l.goOn()
	l.finish()
	f.end()
}

// truncateLog cuts off the last of what was written to the newest segment.
func truncateLog(t *testing.T, n *node) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(n.dir(), "raft", "log", "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments of the log: %v", err)
	}
	newest := slices.Max(segments)
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00")) // they are allocated in advance
	if err := os.Truncate(newest, int64(end-end/10)); err != nil {
		t.Fatal(err)
	}
	t.Logf("the log of %s ended at byte %d, and now at %d", n.name, end, end-end/10)
}

// A copy of a data directory is put back: the disk was restored from a backup. What the node had promised since then must
// not be forgotten in its name.
func TestRestoredDisk(t *testing.T) {
	scenario(t)
	f := newFarm(t, 3, true)
	f.formTogether()
	l := f.load()
	n := f.follower()
	n.stop()
	backup := filepath.Join(f.dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(n.dir())); err != nil {
		t.Fatal(err)
	}
	n.again()
	n.awaitReady()
	f.settleUnderLoad()
	l.goOn()
	l.strike(n.kill)
	n.discardDir(backup)
	l.goOn()
	n.again()
	n.awaitReady()
	f.until("it says why", func() error { return n.said("a restored disk", "moved aside, not deleted") })
	f.settleUnderLoad()
	l.goOn()
	l.finish()
	if old, _ := filepath.Glob(filepath.Join(n.dir(), "discarded-*")); len(old) == 0 {
		t.Errorf("the old data is not in %s any more", n.dir())
	}
	f.end()
}

// discardDir moves the node's data directory away, and puts another one into its place; "" = none.
func (n *node) discardDir(other string) {
	t := n.farm.t
	t.Helper()
	if err := os.Rename(n.dir(), n.dir()+".away"); err != nil {
		t.Fatal(err)
	}
	if other == "" {
		return
	}
	if err := os.Rename(other, n.dir()); err != nil {
		t.Fatal(err)
	}
}

// A snapshot is damaged that the log does not make up for. The node asks the others, who have a quorum without it. So it moves its
// data aside, joins anew, and says all that.
func TestDamagedSnapshot(t *testing.T) {
	plain(t)
	scenario(t)
	f := newFarm(t, 3, true)
	all := f.nodes
	f.nodes = all[:1]
	f.nodes[0].start()
	f.nodes[0].awaitReady()
	f.write(98 << 20) // more than a leader keeps without a snapshot, so the others begin with one
	f.until("a snapshot", func() error { return f.nodes[0].hasSnapshot() })
	for _, n := range all[1:] {
		n.start(f.nodes[0].peer)
	}
	f.nodes = all
	f.settle()
	l := f.load()
	n := f.follower()
	f.until("the node has written down whom it can ask", func() error {
		b, err := os.ReadFile(filepath.Join(n.dir(), "peers"))
		if err == nil && !strings.Contains(string(b), n.others()[0]) {
			err = fmt.Errorf("%s", b)
		}
		return err
	})
	l.strike(n.kill)
	file := snapshots(t, n)[0]
	flipByte(t, file)
	n.again()
	n.awaitReady()
	if err := n.said("a snapshot is damaged", filepath.Base(filepath.Dir(file)), "the farm has a quorum without it", "joins anew"); err != nil {
		t.Error(err)
	}
	if old, _ := filepath.Glob(filepath.Join(n.dir(), "discarded-*")); len(old) == 0 {
		t.Errorf("the damaged data is not in %s any more", n.dir())
	}
	f.settleUnderLoad()
	l.goOn()
	l.finish()
	f.end()
}

func (n *node) hasSnapshot() error {
	if len(snapshots(n.farm.t, n)) == 0 {
		return fmt.Errorf("none in %s", n.dir())
	}
	return nil
}

// snapshots returns the files with the state of the node's finished snapshots.
func snapshots(t *testing.T, n *node) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(n.dir(), "raft", "snapshots", "*", "state.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(filepath.Dir(path), ".tmp") })
}

// flipByte changes the byte in the middle of a file.
func flipByte(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		t.Fatalf("%s has %d bytes: %v", path, len(b), err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// write has visitors write so many bytes through the log, into few sessions.
func (f *farm) write(size int) {
	f.t.Helper()
	const piece, visitors = 16<<10 - 100, 16
	body := bytes.Repeat([]byte("x"), piece)
	var wg sync.WaitGroup
	for i := range visitors {
		wg.Go(func() {
			c := &http.Client{Timeout: patience}
			c.Jar, _ = cookiejar.New(nil) // it never fails
			url := "http://" + f.nodes[i%len(f.nodes)].addr() + "/api/kv/much"
			for range size / piece / visitors {
				err := put(f.t, c, url, body)
				for try := 0; err != nil && try < 20; try++ { // the disk may be too slow for so much; it does no harm to write it again
					sleep.For(f.t.Context(), retryTime)
					err = put(f.t, c, url, body)
				}
				if err != nil {
					f.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if f.t.Failed() {
		f.t.FailNow()
	}
}

func put(t *testing.T, c *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("PUT of %d bytes: %s", len(body), res.Status)
	}
	return nil
}
