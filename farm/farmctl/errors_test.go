package farmctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm"
)

// errorRow is a command line that fails, or one that prepares what comes next.
type errorRow struct {
	args string
	code int
	next string // what the text says to do: a part of it; "" = it is a step on the way, and does not fail
	in   string // on standard input
}

// does is a step on the way.
func does(args string) errorRow { return errorRow{args, codeDone, "", ""} }

// errorRig runs rows against a farm of one node, and keeps what they say.
type errorRig struct {
	t    *testing.T
	dir  string
	hide *strings.Replacer // what differs from run to run
	said []string          // all texts
	list bytes.Buffer      // the golden file
}

func newErrorRig(t *testing.T) *errorRig {
	t.Helper()
	clean(t)
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "")
	t.Setenv("FARM_SECRET", testSecret)
	dir := write(t, t.TempDir(), "site/public/index.html", "x", "site/config/site.yaml", "banner: Spring\n",
		"next/public/index.html", "y", "next/config/site.yaml", "banner: Summer\n",
		"more/public/index.html", "z", "stray/index.html", "x", "hidden/public/a", "x", "hidden/release.yaml", "x: 1\n",
		"newer/public/a", "x", "newer/release.yaml", "program: \"99\"\n", "colon/public/a:b", "x",
		"wrong/config/site.yaml", "baner: x\n", "refused/public/a", "bad",
		"empty/.keep", "", "file.yaml", "banner: x\n", "bad.yaml", "baner: x\n", "bad.credential", "x",
		"site.json", "{}", "worse/config/site.yaml", "baner: x\nprice: 1\n",
		"edits.sh", "#!/bin/sh\necho baner: x >> $1\n", "fails.sh", "#!/bin/sh\necho baner: x >> $1\nexit 3\n",
		"large.yaml", "banner: "+strings.Repeat("x", 1<<18)+"\n")
	for name, k := range map[string]struct {
		farm string
		life time.Duration
	}{"old": {"webfarm", -time.Hour}, "unknown": {"webfarm", time.Hour}, "foreign": {"other", time.Hour}} {
		key, err := credential.NewKey(k.farm, name, time.Now().Add(k.life))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".credential"), key.Encode(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range []string{"edits.sh", "fails.sh"} {
		if err := os.Chmod(filepath.Join(dir, script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", dir) // where what was edited is kept
	return &errorRig{t: t, dir: dir}
}

// open opens the farm of one node, which the rows after that talk to.
func (r *errorRig) open() {
	r.t.Helper()
	f := openFarm(r.t, farm.Config{Name: "a", Configs: []configsync.Declared{shopOf}, PublishPath: "/publish",
		CheckContent: func(_ context.Context, files fs.FS) error {
			if b, err := fs.ReadFile(files, "public/a"); err == nil && string(b) == "bad" {
				return errors.New("page a: nobody can read this")
			}
			return nil
		},
	})
	front := httptest.NewServer(f.Handler(http.NotFoundHandler()))
	r.t.Cleanup(front.Close)
	r.t.Setenv("FARM_JOIN", f.Cluster().Addr())
	r.hide = strings.NewReplacer(r.dir+string(filepath.Separator), "", r.dir, ".", front.URL, "http://FRONT",
		f.Cluster().Addr(), "NODE", whoDoes(""), "ME")
	r.t.Setenv("FRONT", front.URL)
}

// varies is what is another in each run: hashes, times, ports, names of keys.
var varies = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(Z| UTC)?`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d{2,}`), "NODE"},
	{regexp.MustCompile(`\b[0-9a-f]{12,64}\b`), "HASH"},
	{regexp.MustCompile(`farmctl-config-\d+`), "farmctl-config-NUMBER"},
}

// run runs rows, one after the other.
func (r *errorRig) run(title string, rows ...errorRow) {
	r.t.Helper()
	fmt.Fprintf(&r.list, "## %s\n\n", title)
	for _, row := range rows {
		args := strings.Fields(row.args)
		for i := range args {
			args[i] = strings.NewReplacer("./", r.dir+"/", "FRONT", os.Getenv("FRONT"), "''", "").Replace(args[i])
		}
		name, value, env := strings.Cut(args[0], "=")
		was := os.Getenv(name)
		if env {
			r.t.Setenv(name, value)
			args = args[1:]
		}
		got := ctlAs(r.t, console{in: strings.NewReader(row.in), configs: []configsync.Declared{shopOf},
			againAfter: time.Millisecond}, args...)
		if env {
			r.t.Setenv(name, was)
		}
		text := got.err // progress and what was left out come before
		if i := strings.LastIndex("\n"+text, "\nfarmctl: "); i >= 0 {
			text = text[i:]
		}
		if got.code != row.code || (row.next == "") != (row.code == codeDone) || !strings.Contains(text, row.next) {
			r.t.Errorf("farmctl %s: code %d, want %d and %q\n%s%s", row.args, got.code, row.code, row.next, got.out,
				got.err)
		}
		if row.code == codeDone {
			continue
		}
		r.said = append(r.said, text)
		shown := text
		if r.hide != nil {
			shown = r.hide.Replace(shown)
		}
		shown = strings.ReplaceAll(shown, r.dir+"/", "")
		for _, v := range varies {
			shown = v.re.ReplaceAllString(shown, v.by)
		}
		fmt.Fprintf(&r.list, "$ farmctl %s   (exit code %d)\n%s\n", abbreviated(row.args), got.code, strings.TrimLeft(shown, "\n"))
	}
}

// abbreviated is a command line without what is long in it.
func abbreviated(s string) string {
	if len(s) > 100 {
		return s[:97] + "..."
	}
	return strings.ReplaceAll(s, "\x01", "^A")
}
