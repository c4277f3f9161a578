// Slow: farms of two nodes on disks are asked dozens of times, and wait for each other.
package farmctl

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// jar is a state machine that keeps what it is given.
type jar struct{ text []byte }

func newJar() cluster.StateMachine { return &jar{} }

func (j *jar) Apply(_ uint64, _ time.Time, cmd []byte) []byte {
	j.text = append(j.text[:len(j.text):len(j.text)], cmd...)
	return nil
}
func (j *jar) Query([]byte) []byte   { return nil }
func (j *jar) Snapshot() io.WriterTo { return frozen(j.text) }
func (j *jar) Restore(r io.Reader) (err error) {
	j.text, err = io.ReadAll(r)
	return err
}

type frozen []byte

func (f frozen) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(f)
	return int64(n), err
}

// open opens a node on loopback, and points farmctl at it unless it joins another. It has a data directory, so that
// the first node can be told that it is alone, and need not listen for others for three seconds.
func open(t *testing.T, c cluster.Config) *cluster.Node {
	t.Helper()
	c.Dir = t.TempDir()
	if c.Join == nil {
		c.Expect = 1
	}
	c.Machines, c.Logger = map[string]func() cluster.StateMachine{"jar": newJar}, slog.New(slog.DiscardHandler)
	n, err := cluster.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ci.Awaited(t, "ready", n.Ready(ctx))
	if c.Join == nil {
		t.Setenv("FARM_JOIN", n.Addr())
	}
	return n
}

func put(t *testing.T, n *cluster.Node, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := n.Handle("jar").Propose(ctx, []byte(text))
	ci.Awaited(t, text, err)
}

// want runs farmctl and wants an exit code, and a text on either output. A majority, or a node, that did not answer in
// time, on a busy machine, is asked again: then nothing was done.
func want(t *testing.T, code int, text string, args ...string) result {
	t.Helper()
	return wantWhere(t, func(got result) bool { return got.code == code || !got.unheard() }, code, text, args...)
}

// unheard reports whether nobody was there to do anything.
func (r result) unheard() bool { return r.code == codeNoQuorum || r.code == codeUnreachable }

// wantSoon is want for what changes nothing, and says something else while a majority does not answer.
func wantSoon(t *testing.T, code int, text string, args ...string) result {
	t.Helper()
	return wantWhere(t, func(got result) bool { return got.code == code && strings.Contains(got.out+got.err, text) }, code, text, args...)
}

// wantWhere runs farmctl until a condition holds, for a minute at most.
func wantWhere(t *testing.T, settled func(result) bool, code int, text string, args ...string) (got result) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		if got = ctl(t, args...); settled(got) || time.Now().After(end) {
			break
		}
	}
	if got.code != code || !strings.Contains(got.out+got.err, text) {
		t.Errorf("farmctl %s: %+v; want code %d and %q", strings.Join(args, " "), got, code, text)
	}
	return got
}

func TestFarm(t *testing.T) {
	clean(t)
	secret := admin.NewSecret()
	t.Setenv("FARM_SECRET", secret)
	c := cluster.Config{Farm: "shop", Name: "n1", Secrets: []string{secret}}
	n1 := open(t, c)
	c.Name, c.Join = "n2", []string{n1.Addr()}
	n2 := open(t, c)
	put(t, n1, "sugar")

	want(t, codeNotAuthorized, `"shop"`, "members")
	t.Setenv("FARM_FARM", "shop")
	want(t, codeDone, "n2", "members")
	var f admin.Farm
	shown := wantSoon(t, codeDone, `"quorum":true`, "members", "-json").out
	if err := json.Unmarshal([]byte(shown), &f); err != nil || len(f.Members) != 2 || !f.Quorum {
		t.Errorf("%+v, %v", f, err)
	}
	t.Setenv("FARM_SECRET", admin.NewSecret())
	want(t, codeNotAuthorized, "another secret", "members")
	t.Setenv("FARM_SECRET", "")
	want(t, codeNotAuthorized, "none was given", "members")
	t.Setenv("FARM_SECRET", secret)

	want(t, codeDone, "Nothing has changed", "finalize") // a new farm begins with the highest level; internal/e2e raises one

	want(t, codeRefused, "no such member", "leave", "n7")
	want(t, codeRefused, "is alive", "leave", "-dead", "n2")
	var gone left
	if err := json.Unmarshal([]byte(want(t, codeDone, "", "leave", "n2", "-json").out), &gone); err != nil || !gone.Gone || gone.ID != n2.ID() {
		t.Errorf("%+v, %v", gone, err)
	}
	want(t, codeRefused, "only member", "leave", n1.ID())
}

func TestBackup(t *testing.T) {
	clean(t)
	n := open(t, cluster.Config{Name: "n1"})
	for range 20 {
		put(t, n, strings.Repeat("sugar", 5000))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "jar.backup")
	want(t, codeDone, "a whole backup", "backup", file)
	want(t, codeUsage, "exists", "backup", file)
	want(t, codeDone, "a whole backup", "backup", "-overwrite", file)
	want(t, codeDone, "488.4 KiB in jar", "backup", "-verify", file)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"cut": good[:len(good)-40], "changed": append(good[:len(good)/2:len(good)/2],
		append([]byte("x"), good[len(good)/2+1:]...)...)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, codeDamaged, "damaged", "backup", "-verify", filepath.Join(dir, name))
	}
	got := ctl(t, "backup", "-")
	streamed := filepath.Join(dir, "streamed")
	if err := os.WriteFile(streamed, []byte(got.out), 0o600); err != nil || got.code != codeDone {
		t.Errorf("to standard output: code %d, %s, %v", got.code, got.err, err)
	}
	want(t, codeDone, "488.4 KiB in jar", "backup", "-verify", streamed)
	if got := ctlAs(t, console{in: bytes.NewReader(good)}, "backup", "-verify", "-"); got.code != codeDone || !strings.Contains(got.out, "488.4 KiB") {
		t.Errorf("from standard input: %+v", got)
	}
	if got := ctlAs(t, console{shows: true}, "backup", "-"); got.code != codeUsage || got.out != "" {
		t.Errorf("to a terminal: %+v", got)
	}
	want(t, codeFailed, "no/such", "backup", filepath.Join(dir, "no/such/folder"))
}

func TestRestore(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "jar.backup")
	from := open(t, cluster.Config{Name: "n1", Farm: "shop"})
	put(t, from, "sugar")
	want(t, codeDone, "a whole backup", "backup", "-farm", "shop", file)

	n1 := open(t, cluster.Config{Name: "n1", Farm: "depot"})
	n2 := open(t, cluster.Config{Name: "n2", Farm: "depot", Join: []string{n1.Addr()}})
	t.Setenv("FARM_FARM", "depot")
	put(t, n1, "salt")
	want(t, codeUsage, "or say -yes", "restore", file)
	want(t, codeUsage, "-foreign", "restore", "-yes", file)
	for typed, code := range map[string]int{"shop\n": codeFailed, "\n": codeFailed} {
		got := ctlAs(t, console{in: strings.NewReader(typed), asks: true}, "restore", file)
		if got.code != code || !strings.Contains(got.err, "another farm, shop") || !strings.Contains(got.err, "n2") {
			t.Errorf("typed %q: %+v", typed, got)
		}
	}
	before := n1.State().ClusterID
	got := ctlAs(t, console{in: strings.NewReader("depot\n"), asks: true}, "restore", file, "-json")
	var done restored
	if err := json.Unmarshal([]byte(got.out), &done); got.code != codeDone || err != nil || len(done.Missing) > 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, n := range []*cluster.Node{n1, n2} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := n.Handle("jar").Barrier(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if text := string(n.Handle("jar").Local().(*jar).text); text != "sugar" {
			t.Errorf("%q was restored", text)
		}
		if id := n.State().ClusterID; id != done.ClusterID || id == before {
			t.Errorf("cluster ID %s, was %s, and restore says %s", id, before, done.ClusterID)
		}
	}
	wantSoon(t, codeRefused, "has a quorum", "recover")
	wantSoon(t, codeDone, "nothing to recover", "recover", "-look")
}

// A node that waits for its farm may find one with other state than was looked at, which is none.
func TestRestoreBeforeThereIsAFarm(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "jar.backup")
	open(t, cluster.Config{Name: "n1"})
	want(t, codeDone, "a whole backup", "backup", file)
	n, err := cluster.Open(t.Context(), cluster.Config{Name: "n2", Join: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler),
		Machines: map[string]func() cluster.StateMachine{"jar": newJar}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	t.Setenv("FARM_JOIN", n.Addr())
	want(t, codeRefused, "does not belong to a farm yet", "restore", "-yes", file)
	got := ctl(t, "members", "-json")
	if got.code != codeDone || strings.Contains(got.out, "null") {
		t.Errorf("lists are lists, empty or not: %+v", got)
	}
}

// What is left of a backup whose connection was cut off: nothing.
func TestBackupCutOff(t *testing.T) {
	clean(t)
	n := open(t, cluster.Config{Name: "n1"})
	for range 20 {
		put(t, n, strings.Repeat("sugar", 5000))
	}
	t.Setenv("FARM_JOIN", cutOff(t, n.Addr(), 200<<10))
	dir := t.TempDir()
	want(t, codeInterrupted, "ended before the answer", "backup", filepath.Join(dir, "jar.backup"))
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// cutOff returns an address that leads to another one, until it has answered with so many bytes.
func cutOff(t *testing.T, addr string, after int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var left atomic.Int64
	left.Store(after)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				c.Close()
				continue
			}
			go func() {
				io.Copy(to, c)
				to.Close()
			}()
			n, _ := io.CopyN(c, to, left.Load())
			left.Add(-n)
			c.Close()
			to.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}
