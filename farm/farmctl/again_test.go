package farmctl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// relay is a network path to a node that can be cut.
type relay struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to, conns: map[net.Conn]bool{}}
	go r.serve()
	t.Cleanup(func() { l.Close(); r.cut() })
	return r
}

func (r *relay) serve() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			in.Close()
			continue
		}
		r.mu.Lock()
		r.conns[in], r.conns[out] = true, true
		r.mu.Unlock()
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				io.Copy(way[0], way[1])
				in.Close()
				out.Close()
			}()
		}
	}
}

// cut ends all connections; new ones are taken.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
	clear(r.conns)
}

// TestAnswerIsLost: a connection that breaks while nodes make a release ready does not end a verb: it asks again, by
// the same key, and says what has come of it. Nothing is done twice.
func TestAnswerIsLost(t *testing.T) {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	var lost atomic.Pointer[relay]
	cuts := 0
	f := openFarm(t, farm.Config{Name: "a", Configs: []configsync.Declared{shopOf}, Prepare: []configsync.Hook{
		shopOf.OnPrepare(func(context.Context, *shopConfig, *shopConfig) (func(), func(), error) {
			if r := lost.Swap(nil); r != nil {
				cuts++
				r.cut()
			}
			return nil, nil, nil
		})}})
	way := newRelay(t, f.Cluster().Addr())
	t.Setenv("FARM_JOIN", way.l.Addr().String())
	site := write(t, t.TempDir(), "public/index.html", "one", "config/site.yaml", "banner: Spring\n")
	for i, c := range []struct {
		says string
		args []string
	}{
		{"Release 1 is in force, as epoch 1", []string{"publish", site}},
		{"Epoch 2 is in force", []string{"config", "set", "site", "banner", "Summer"}},
		{"Epoch 3 is in force, with release 1", []string{"rollback"}},
		{"Epoch 4 is in force, with release 2", []string{"activate", "2"}},
		{"Epoch 5 is in force", []string{"config", "rollback", "1"}},
	} {
		lost.Store(way)
		got := ctlAs(t, console{againAfter: 10 * time.Millisecond}, c.args...)
		for end := time.Now().Add(time.Minute); got.unheard() && cuts == i && time.Now().Before(end); {
			got = ctlAs(t, console{againAfter: 10 * time.Millisecond}, c.args...) // the machine is busy: it did not get through
		}
		if got.code != codeDone || !strings.Contains(got.out, c.says) {
			t.Errorf("%v: %+v", c.args, got)
		}
		if cuts != i+1 || !strings.Contains(got.err, "asking again") {
			t.Errorf("%v: cut %d times; on standard error: %s", c.args, cuts, got.err)
		}
		if n := f.Configs().Status().Epoch; n != uint64(i+1) {
			t.Fatalf("%v: epoch %d", c.args, n)
		}
	}
	if n := goodKeys(t); n != 0 {
		t.Errorf("%d keys of one publication are good", n)
	}
	othersFiles(t, site)
}

// othersFiles goes on with somebody else who publishes: what he has added is not taken away unseen.
func othersFiles(t *testing.T, site string) {
	theirs := write(t, t.TempDir(), "public/index.html", "one", "public/bob.html", "x", "config/site.yaml", "banner: Spring\n")
	got := want(t, codeDone, "is in force", "publish", theirs, "-as", "bob")
	_, id, _ := strings.Cut(got.out, "Release ")
	id, _, _ = strings.Cut(id, " ")
	write(t, site, "public/index.html", "two")
	named := "public/bob.html (release " + id + " by bob); nothing that is kept was published by \"ann\""
	got = want(t, codeRefused, named, "publish", site, "-as", "ann")
	if !strings.Contains(got.err, "take them over into the folder, or give -overwrite") {
		t.Error(got.err)
	}
	want(t, codeDone, "is kept for later", "publish", site, "-as", "ann", "-hold", "-overwrite")
	want(t, codeDone, "is in force", "publish", site, "-as", "ann", "-overwrite")
	// Runners of CI, of which each is another machine, are one publisher: what one has added the next one may take away.
	write(t, site, "public/ci.html", "x")
	want(t, codeDone, "is in force", "publish", site, "-as", "ci", "-who", "ann@runner-1")
	os.Remove(filepath.Join(site, "public", "ci.html"))
	want(t, codeRefused, "public/ci.html", "publish", site, "-who", "ann@runner-2")
	t.Setenv("FARM_AS", "ci")
	want(t, codeDone, "is in force", "publish", site, "-who", "ann@runner-2")
	write(t, site, "public/ci.html", "again")
	want(t, codeDone, "is in force", "publish", site)
	whoHasDone(t, site)
}

// whoHasDone has somebody publish, and put in force what was kept, in the name of another one: what is shown has the
// name of the credential beside that.
func whoHasDone(t *testing.T, site string) {
	write(t, site, "public/ci.html", "in another's name")
	want(t, codeDone, "is in force", "publish", site, "-who", "bob")
	for _, verb := range []string{"releases", "config"} {
		want(t, codeDone, " by bob (credential ci): ", verb)
	}
	write(t, site, "public/ci.html", "later")
	got := want(t, codeDone, "is kept for later", "publish", site, "-who", "bob", "-hold")
	id := strings.Fields(got.out)[1]
	want(t, codeDone, "is in force", "activate", id, "-who", "eve")
	var past order.ConfigPast
	if err := json.Unmarshal([]byte(want(t, codeDone, "", "config", "history", "-json").out), &past); err != nil {
		t.Fatal(err)
	}
	var all order.Releases
	if err := json.Unmarshal([]byte(want(t, codeDone, "", "releases", "-json").out), &all); err != nil {
		t.Fatal(err)
	}
	n := len(past.Epochs)
	if n < 2 || past.Epochs[n-2].Credential != "ci" || past.Epochs[n-2].By != "credential" ||
		past.Epochs[n-1].Who != "eve" || past.Epochs[n-1].Credential != "" || past.Epochs[n-1].By != "secret" {
		t.Errorf("who has put it in force: %+v", past.Epochs[max(0, n-2):])
	}
	for _, r := range all.Releases {
		if r.Publisher != "" && r.Credential == "" || strconv.FormatUint(r.ID, 10) == id && r.Credential != "ci" {
			t.Errorf("who has published it: %+v", r)
		}
	}
	for _, verb := range [][]string{{"releases"}, {"config", "history"}} {
		if got := want(t, codeDone, "CREDENTIAL", verb...); !strings.Contains(got.out, " bob ") || !strings.Contains(got.out, " ci ") {
			t.Errorf("%v:\n%s", verb, got.out)
		}
	}
}

// TestAskedAgain: what may be done again is, while a majority is missing or a node stops; not where the first contact
// fails. What was perhaps done is not said to be undone by a node that does not know, and is asked for until one does.
func TestAskedAgain(t *testing.T) {
	other := errors.New("refused for what it is")
	said := func(kind string) error { return asSaid(&order.ReleaseError{Kind: kind, Text: kind}) }
	for name, c := range map[string]struct {
		timeout time.Duration
		answers []error
		want    error
		asked   int
	}{
		"no quorum for a moment": {time.Minute, []error{admin.ErrNoQuorum, admin.ErrInterrupted, nil}, nil, 3},
		"refused":                {time.Minute, []error{other}, other, 1},
		"nobody there":           {time.Minute, []error{admin.ErrUnreachable}, admin.ErrUnreachable, 1},
		"not authorized":         {time.Minute, []error{admin.ErrNotAuthorized}, admin.ErrNotAuthorized, 1},
		"failed":                 {time.Minute, []error{said(order.KindFailed)}, admin.ErrRefused, 1},
		"gone for a moment":      {time.Minute, []error{admin.ErrNoQuorum, admin.ErrUnreachable, nil}, nil, 3},
		"just starting":          {time.Minute, []error{admin.ErrNotNow, nil}, nil, 2},
		"stops":                  {time.Minute, []error{said(order.KindStopping), said(order.KindOverloaded), nil}, nil, 3},
		"no quorum":              {0, []error{admin.ErrNoQuorum}, admin.ErrNoQuorum, 1},
		"gone after it was asked": {3 * time.Second / 2,
			[]error{admin.ErrInterrupted, admin.ErrUnreachable, admin.ErrUnreachable}, admin.ErrInterrupted, 3},
		"refused after it was lost": {time.Minute, []error{admin.ErrInterrupted, other}, other, 2},
		"busy after it was lost": {time.Minute, []error{admin.ErrInterrupted, said(order.KindBusy)},
			admin.ErrRefused, 2},
		"nodes that do not know": {time.Minute, []error{admin.ErrInterrupted, admin.ErrNotNow, said(order.KindOverloaded),
			admin.ErrNotAuthorized, admin.ErrUnsupported, said(order.KindFailed), said(order.KindUnauthorized), nil}, nil, 8},
		"nobody knows": {3 * time.Second / 2, []error{admin.ErrInterrupted, admin.ErrNotNow, said(order.KindFailed)},
			admin.ErrInterrupted, 3},
	} {
		bubble.Test(t, func(t *testing.T) {
			k := &call{console: console{name: "farmctl", err: io.Discard}, timeout: c.timeout}
			asked := 0
			err := k.repeated(t.Context(), "releases", func(context.Context, func(bool)) error {
				asked++
				return c.answers[asked-1]
			})
			if !errors.Is(err, c.want) || asked != c.asked {
				t.Errorf("%s: %v, asked %d times", name, err, asked)
			}
			if unknown := c.want == admin.ErrInterrupted; unknown && (codeOf(err) != codeInterrupted ||
				!strings.Contains(err.Error(), "look before you give the command again: farmctl releases")) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestLongAnswer: a node that shows for minutes that it is at work does not use up the patience that there is when its
// connection breaks. One that says after that that there is no leader does.
func TestLongAnswer(t *testing.T) {
	for end, asks := range map[error]int{admin.ErrInterrupted: 2, admin.ErrNoQuorum: 1} {
		bubble.Test(t, func(t *testing.T) {
			k := &call{console: console{err: io.Discard}, timeout: 30 * time.Second}
			asked := 0
			err := k.repeated(t.Context(), "releases", func(_ context.Context, heard func(bool)) error {
				if asked++; asked > 1 {
					return nil
				}
				for range 20 {
					heard(false)
					time.Sleep(3 * time.Second)
				}
				return end
			})
			if asked != asks || (err == nil) != (asks > 1) {
				t.Errorf("%v: %v, asked %d times", end, err, asked)
			}
		})
	}
}

// TestSlowNode: where there are several nodes, one that does not answer has another one asked, long before patience
// ends; one that shows that it is at work is not given up.
func TestSlowNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		left := 0
		k := &call{console: console{err: io.Discard}, timeout: 30 * time.Second, nodes: []string{"a:1", "b:1"},
			leaves: []func(){func() { left++ }}}
		began, asked := time.Now(), 0
		err := k.repeated(t.Context(), "", func(ctx context.Context, heard func(bool)) error {
			if asked++; asked == 1 {
				<-ctx.Done()
				return interruptedHTTP(ctx, ctx.Err())
			}
			heard(false)
			select {
			case <-time.After(5 * time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if took := time.Since(began); err != nil || asked != 2 || left != 1 || took > 6*time.Minute {
			t.Errorf("%v; asked %d times, left %d nodes, %v", err, asked, left, took)
		}
	})
}
