package farmctl

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// archive makes a tar archive of entries.
func archive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.CopyN(w, zeros{}, h.Size)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// publishJSON publishes, and returns what is printed for scripts.
func publishJSON(t *testing.T, args ...string) (p published) {
	t.Helper()
	got := want(t, codeDone, "", append([]string{"publish", "-json"}, args...)...)
	if err := json.Unmarshal([]byte(got.out), &p); err != nil {
		t.Errorf("%v: %s", err, got.out)
	}
	return p
}

func TestPublishToAFarm(t *testing.T) {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	mine := []configsync.Declared{shopOf}
	a := openFarm(t, farm.Config{Name: "a", Configs: mine, PublishPath: "/publish"})
	t.Setenv("FARM_JOIN", a.Cluster().Addr())
	b := openFarm(t, farm.Config{Name: "b", Configs: mine, PublishPath: "/publish",
		Join: []string{a.Cluster().Addr()}})
	page := strings.Repeat("a page of the shop. ", 1000)
	site := write(t, t.TempDir(), "public/index.html", page, "public/shop.css", "p{}", "templates/a.tmpl",
		"{{.}}",
		"config/site.yaml", "banner: Spring\n", "release.yaml", "note: spring prices\n", ".env", "PASSWORD=1")

	// An operator's first publication, and the same again.
	got := want(t, codeDone, "Release 1 is in force, as epoch 1. It is the first", "publish", site)
	if !strings.Contains(got.err, "left out: .env") || !strings.Contains(got.err, "a: confirmed") ||
		!strings.Contains(got.err, "b: confirmed") {
		t.Errorf("on standard error: %s", got.err)
	}
	for _, f := range []*farm.Farm{a, b} {
		if banner := shopOf.Get(f.Configs().Context(t.Context())).Banner; banner != "Spring" {
			t.Errorf("banner %q", banner)
		}
	}
	want(t, codeDone, "this is what is in force, release 1", "publish", site)
	for _, r := range a.Configs().Credentials() {
		if r.Revoked.IsZero() {
			t.Errorf("the key of one publication is good after it: %+v", r)
		}
	}
	if p := publishJSON(t, site); !p.Same || p.Sent != 0 || len(p.Excluded) != 1 || p.Files != 3 ||
		p.Epoch != 1 {
		t.Errorf("%+v", p)
	}
	want(t, codeRefused, "is in force, on all nodes", "canary", "1", "-nodes", "b")
	if e := a.Configs().Epochs(); len(e) != 1 || e[0].Why != "spring prices" {
		t.Errorf("%+v", e)
	}

	// Refused for what it is: nothing changes.
	bad := write(t, t.TempDir(), "public/index.html", "x", "config/site.yaml", "baner: x\n")
	want(t, codeRefused, "did you mean banner?", "publish", bad)
	want(t, codeRefused, "no farm would take this", "publish", write(t, t.TempDir(), "public/a:b", "x"))
	want(t, codeRefused, "release.yaml:1:1", "publish", write(t, t.TempDir(), "public/a", "x", "release.yaml",
		"x: 1"))
	want(t, codeRefused, "version 99", "publish", write(t, t.TempDir(), "public/a", "x", "release.yaml",
		"program: \"99\""))
	want(t, codeUsage, "nothing to publish", "publish", t.TempDir())
	want(t, codeRefused, "epoch 7", "publish", site, "-epoch", "7")

	// What was changed by hand since is not undone unseen, whoever publishes: it is named.
	want(t, codeDone, "Epoch 2 is in force", "config", "set", "site", "banner", "By hand")
	for _, args := range [][]string{{}, {"-dry-run"}, {"-hold"}} {
		want(t, codeRefused, `banner: "By hand" -> "Spring"; take them over into the folder, or give -overwrite`,
			append([]string{"publish", site}, args...)...)
	}
	want(t, codeDone, "To take it back", "publish", site, "-overwrite")

	// Keys of one publication are over with it.
	if n := goodKeys(t); n != 0 {
		t.Errorf("%d keys are good", n)
	}

	// Dry run, kept for later, and only one file is sent of what has changed.
	write(t, site, "public/shop.css", "p{color:red}")
	write(t, site, "config/site.yaml", "banner: Summer\n", "public/new.html", "x")
	os.Remove(filepath.Join(site, "templates/a.tmpl"))
	got = want(t, codeDone, "Nothing has changed", "publish", site, "-dry-run")
	for _, line := range []string{"added    public/new.html", "changed  public/shop.css", "removed  templates/a.tmpl",
		"site.banner", "Spring", "Summer"} {
		if !strings.Contains(got.out, line) {
			t.Errorf("the dry run does not say %q: %s", line, got.out)
		}
	}
	want(t, codeDone, "is kept for later", "publish", site, "-hold", "-m", "later")
	if n := goodKeys(t); n != 1 { // else the release could not be put in force
		t.Errorf("%d keys are good", n)
	}
	if e := a.Configs().Epochs(); len(e) != 3 {
		t.Errorf("%+v", e)
	}
	held := a.Configs().Releases()
	later := strconv.FormatUint(held[len(held)-1].ID, 10)
	want(t, codeDone, "Epoch 4 is in force", "config", "set", "site", "banner", "By hand again")
	want(t, codeRefused, `"By hand again" -> "Summer"; -overwrite`, "activate", later)
	want(t, codeRefused, `"By hand again" -> "Summer"; -overwrite`, "canary", later, "-nodes", "a")
	want(t, codeDone, "Epoch 5 is in force", "activate", later, "-overwrite")
	write(t, site, "public/shop.css", "p{color:blue}")
	if p := publishJSON(t, site); p.Same || p.Sent == 0 || p.Sent > 1000 || p.Epoch != 6 {
		t.Errorf("%+v", p)
	}

	// A preview: by a link that only who has it can follow; put in force without being sent again.
	write(t, site, "public/shop.css", "p{color:purple}")
	got = want(t, codeDone, "can be seen until", "preview", site, "-for", "1h")
	id, _, _ := strings.Cut(strings.TrimPrefix(got.out, "Release "), " ")
	if !strings.Contains(got.out, "?farm-preview=") || !strings.Contains(got.out, "farmctl activate "+id) {
		t.Errorf("%s", got.out)
	}
	want(t, codeDone, "can be seen until", "preview", id)

	// A canary for a share of the clients: raised, not lowered, and given up.
	want(t, codeUsage, "exclude each other", "canary", id, "-percent", "10", "-nodes", "a")
	want(t, codeUsage, "it is 1 to 100", "canary", id, "-percent", "101")
	want(t, codeDone, "is shown to 10 % of the clients", "canary", id, "-percent", "10")
	want(t, codeDone, "CANARY for 10 %", "releases")
	want(t, codeDone, `"nodes":[],"percent":10}`, "releases", "-json")
	want(t, codeDone, "is shown to 20 % of the clients", "canary", id, "-percent", "20")
	want(t, codeRefused, "is a canary for 20 % of the clients", "canary", id, "-percent", "5")
	want(t, codeDone, "all see what is in force", "canary", "end")
	want(t, codeUsage, "-for", "preview", id, "-for", "1000h")
	want(t, codeRefused, "", "preview", "77")
	if e := a.Configs().Status().Epoch; e != 6 {
		t.Errorf("epoch %d", e)
	}
	want(t, codeDone, "Epoch 7 is in force", "activate", id)

	// From standard input, as by ssh; and what somebody hostile would send.
	stdin := func(b []byte) console { return console{in: bytes.NewReader(b)} }
	public := tar.Header{Name: "site/public/", Typeflag: tar.TypeDir, Mode: 0o755}
	good := archive(t, public, tar.Header{Name: "site/public/index.html", Size: 10})
	if got := ctlAs(t, stdin(good), "publish", "-"); got.code != codeDone || !strings.Contains(got.out,
		"epoch 8") {
		t.Errorf("%+v", got)
	}
	for name, b := range map[string][]byte{
		"up":   archive(t, public, tar.Header{Name: "site/public/../../../x", Size: 1}),
		"root": archive(t, public, tar.Header{Name: "/etc/passwd", Size: 1}),
		"link": archive(t, public, tar.Header{Name: "site/public/a", Typeflag: tar.TypeSymlink,
			Linkname: "/etc/passwd"}),
		"hard": archive(t, public, tar.Header{Name: "site/public/a", Typeflag: tar.TypeLink,
			Linkname: "/etc/passwd"}),
		"device":  archive(t, public, tar.Header{Name: "site/public/a", Typeflag: tar.TypeChar}),
		"twice":   archive(t, public, tar.Header{Name: "site/public/a"}, tar.Header{Name: "site/public/a"}),
		"folding": archive(t, public, tar.Header{Name: "site/public/a"}, tar.Header{Name: "site/public/A"}),
		"cut":     good[:700],
		"none":    []byte("#!/bin/sh"),
	} {
		if got := ctlAs(t, stdin(b), "publish", "-"); got.code != codeRefused || got.err == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if e := a.Configs().Status().Epoch; e != 8 {
		t.Errorf("epoch %d", e)
	}
	credentials(t, a, b, site)
}

// goodKeys returns how many credentials are good.
func goodKeys(t *testing.T) (good int) {
	t.Helper()
	var all []order.Credential
	if err := json.Unmarshal([]byte(want(t, codeDone, "", "credential", "list", "-json").out), &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Revoked.IsZero() {
			good++
		}
	}
	return good
}

// credentials goes on with publishing by those who do not have the secret.
func credentials(t *testing.T, a, b *farm.Farm, site string) {
	front := httptest.NewServer(a.Handler(http.NotFoundHandler()))
	defer front.Close()
	file := filepath.Join(t.TempDir(), "ci.credential")
	at := front.URL + "/publish"
	want(t, codeDone, "is in "+file, "credential", "mint", "ci", "-out", file, "-url", at, "-m", "for CI")
	want(t, codeFailed, "exists", "credential", "mint", "ci", "-out", file)
	want(t, codeUsage, "length of time", "credential", "mint", "ci", "-ttl", "soon")
	want(t, codeRefused, "", "credential", "mint", "ci", "-ttl", "1000d")
	want(t, codeDone, "for CI", "credential", "list")

	t.Setenv("FARM_SECRET", "")
	t.Setenv("FARM_JOIN", "")
	t.Setenv("FARM_CREDENTIAL_FILE", file)
	want(t, codeRefused, `nothing that is kept was published by "ci"`, "publish", site) // it goes back from what others did
	if p := publishJSON(t, site, "-overwrite"); p.Epoch != 9 {
		t.Errorf("%+v", p)
	}
	want(t, codeDone, "this is what is in force", "publish", site, "-url", at)
	want(t, codeUsage, "takes a credential", "publish", site, "-url", at, "-credential", "")
	want(t, codeUsage, `for the farm "webfarm"`, "publish", site, "-farm", "another")
	want(t, codeUnreachable, "goes on where it was", "publish", site, "-url", "http://127.0.0.1:1/publish")
	want(t, codeRefused, "switched on", "publish", site, "-url", front.URL+"/elsewhere")
	os.Chmod(file, 0o644)
	want(t, codeUsage, "chmod 600", "publish", site)
	os.Chmod(file, 0o600)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FARM_CREDENTIAL_FILE", "")
	t.Setenv("FARM_CREDENTIAL", string(text))
	write(t, site, "public/shop.css", "p{color:green}")

	t.Setenv("FARM_SECRET", testSecret)
	t.Setenv("FARM_JOIN", b.Cluster().Addr())
	want(t, codeDone, "revoked on all nodes", "credential", "revoke", "ci")
	want(t, codeRefused, "no credential", "credential", "revoke", "ci")
	t.Setenv("FARM_JOIN", "")
	want(t, codeNotAuthorized, "revoked", "publish", site)
	t.Setenv("FARM_JOIN", a.Cluster().Addr())
	want(t, codeNotAuthorized, "revoked", "publish", site) // over the peer port as well
	if e := b.Configs().Status().Epoch; e != 9 {
		t.Errorf("epoch %d", e)
	}
	var all []order.Credential
	got := want(t, codeDone, "", "credential", "list", "-json")
	if err := json.Unmarshal([]byte(got.out), &all); err != nil || len(all) < 2 {
		t.Errorf("%v, %s", err, got.out)
	}
}
