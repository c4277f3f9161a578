package farmctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

type shopConfig struct {
	Banner string
	Prices map[string]int
	Listen string `reload:"restart"`
	Token  configsync.Secret
}

func (s shopConfig) Validate() error {
	if s.Prices["tea"] > 1000 {
		return errors.New("nobody pays more than 1000 for tea")
	}
	return nil
}

var shopOf = configsync.NewConfig("site", shopConfig{Banner: "Welcome"})

func TestPrintConfig(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	v := configView{ConfigEpoch: order.ConfigEpoch{Epoch: 7, Revision: 5, Time: at, Who: "eve@desk",
		Why: "sale\x1b[2J"},
		Files: []string{"nodes/n1/site.yaml", "site.yaml"},
		Nodes: []configNode{
			{Name: "n1", ConfigStatus: order.ConfigStatus{Epoch: 7, Uses: 7}},
			{Name: "n2", ConfigStatus: order.ConfigStatus{Epoch: 7, Uses: 7, Restart: []string{"site.listen"}, How: "rolling"}},
			{Name: "n3", ConfigStatus: order.ConfigStatus{Epoch: 7, Uses: 6,
				Problem: "site.yaml:1:1: x: unknown field\nsecond"}},
			{Name: "n4", NotAsked: "it is dead"},
		}}
	if err := errors.Join(v.print(&out), configView{}.print(&out)); err != nil {
		t.Fatal(err)
	}
	ds := []order.ConfigDifference{
		{Config: "site", Field: "banner", Old: `"a"`, New: `"` + strings.Repeat("b", 100) + `"`},
		{Config: "site", For: "node n1", Section: "/shop/", Field: "listen", New: `":2"`, Restart: true},
		{Config: "site", Field: "token", Old: `"secret 0123456789abcdef"`, New: "", Secret: true},
	}
	explained := []order.ConfigExplained{
		{Field: "banner", Value: `"x"`, Sources: []order.ConfigSource{{Layer: "default", Value: `"d"`},
			{Layer: "global", Section: "/shop/", Value: `"x"`, File: "site.yaml", Line: 3}}},
		{Field: "prices.tea"},
		{Field: "token", Value: `"secret 0123456789abcdef"`, Secret: true,
			Sources: []order.ConfigSource{{Layer: "role front", Value: `"secret 0f"`}, {Layer: "global",
				Value: `"secret 0123456789abcdef"`}}},
	}
	if err := errors.Join(printDifferences(&out, ds), printExplained(&out, explained)); err != nil {
		t.Fatal(err)
	}
	golden(t, "config.txt", out.Bytes())
}

func TestConfigUsage(t *testing.T) {
	clean(t)
	t.Setenv("FARM_JOIN", "127.0.0.1:1")
	for args, code := range map[string]int{
		"config dance": codeUsage, "config get": codeUsage, "config set a b": codeUsage,
		"config rollback x": codeUsage,
		"config rollback 0": codeUsage, "config diff 1 2 3": codeUsage, "config diff x": codeUsage,
		"config secret site": codeUsage, "config secret site token": codeUsage, "config reseal now": codeUsage,
		"config": codeUnreachable, "config get site.yaml": codeUnreachable, "config rollback 3": codeUnreachable,
	} {
		if got := ctl(t, strings.Fields(args)...); got.code != code || got.err == "" {
			t.Errorf("%s: %+v, want code %d", args, got, code)
		}
	}
}

// TestConfigSchema: the schema is that of the program's type, and is to be had without a farm and a secret.
func TestConfigSchema(t *testing.T) {
	clean(t)
	other := configsync.NewConfig("mail", struct{ From string }{})
	for args, c := range map[string]struct {
		configs []configsync.Declared
		want    result
	}{
		"":      {[]configsync.Declared{shopOf}, result{codeDone, string(shopOf.JSONSchema()), ""}},
		" mail": {[]configsync.Declared{shopOf, other}, result{codeDone, string(other.JSONSchema()), ""}},
		" ":     {[]configsync.Declared{shopOf, other}, result{codeUsage, "", "farmctl: say which config is meant: site, mail\n"}},
		" male": {[]configsync.Declared{shopOf, other}, result{codeUsage, "", "farmctl: this program has no config \"male\"; " +
			"it has: site, mail\n"}},
		" site": {nil, result{codeUsage, "", "farmctl: this program does not say which configurations it has, so there is no " +
			"schema: give this command to the site's own program, whose main hands them over (farmctl.Program{Configs: ...})\n"}},
	} {
		got := ctlAs(t, console{in: strings.NewReader(""), configs: c.configs}, strings.Fields("config schema"+args)...)
		if got != c.want {
			t.Errorf("config schema%s: %+v\nwant %+v", args, got, c.want)
		}
	}
}

func TestConfigOfAFarm(t *testing.T) {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	mine := []configsync.Declared{shopOf}
	a := openFarm(t, farm.Config{Name: "a", Configs: mine})
	t.Setenv("FARM_JOIN", a.Cluster().Addr())
	b := openFarm(t, farm.Config{Name: "b", Configs: mine, Join: []string{a.Cluster().Addr()}})

	want(t, codeDone, "defaults of their program", "config")
	want(t, codeDone, "Epoch 1 is in force", "config", "set", "site", "prices.tea", "320", "-m", "tea is dearer")
	want(t, codeDone, `"Sale"`, "config", "set", "site", "banner", "Sale", "-layer", "nodes/b", "-dry-run")
	want(t, codeDone, "nodes/c: there is no node of that name, so its settings have no effect until one comes; there are: a, b\n",
		"config", "set", "site", "banner", "Sale", "-layer", "nodes/c", "-dry-run")
	want(t, codeDone, "Nothing was changed: epoch 1", "config", "set", "site", "banner", "Sale", "-dry-run")
	want(t, codeDone, "There is nothing to change: epoch 1", "config", "set", "site", "prices.tea", "320")
	want(t, codeDone, "node b", "config", "set", "site", "banner", "Sale", "-layer", "nodes/b")
	want(t, codeDone, "RESTART", "config", "set", "site", "listen", ":2", "-path", "/shop/")
	for text, args := range map[string][]string{
		"site.yaml:2:8: prices.tea: is the text": {"set", "site", "prices.tea", "cheap"},
		"did you mean banner?":                   {"set", "site", "baner", "x"},
		"nobody pays more than 1000":             {"set", "site", "prices.tea", "1001"},
		"token: is a secret in plain text":       {"set", "site", "token", "x"},
		"has no config \"sit\"":                  {"set", "sit", "banner", "x"},
		"no file \"x.yaml\"":                     {"get", "x.yaml"},
		"no such epoch is kept":                  {"rollback", "77"},
		"has no config \"x\"":                    {"explain", "x"},
	} {
		want(t, codeRefused, text, append([]string{"config"}, args...)...)
	}
	want(t, codeUsage, "does not set prices.mead", "config", "unset", "site", "prices.mead")
	want(t, codeDone, "banner: Sale\n", "config", "get", "nodes/b/site.yaml")
	want(t, codeDone, "node b, nodes/b/site.yaml:1", "config", "explain", "site", "banner", "-of", "b")
	want(t, codeDone, "tea is dearer", "config", "history")
	want(t, codeDone, "site.banner", "config", "diff", "1", "2")
	want(t, codeDone, "site.yaml", "config")

	ctxA, ctxB := a.Configs().Context(t.Context()), b.Configs().Context(t.Context())
	if x, y := shopOf.Get(ctxA).Banner, shopOf.Get(ctxB).Banner; x != "Welcome" || y != "Sale" {
		t.Errorf("a says %s, b says %s", x, y)
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "site.yaml")
	os.WriteFile(file, []byte("# anew\nbanner: Folder\nlisten: \":3\"\n"), 0o644)
	want(t, codeDone, "Epoch 4 is in force", "config", "put", dir)
	want(t, codeRefused, `no file "nodes/b/site.yaml"`, "config", "get", "nodes/b/site.yaml")
	want(t, codeDone, "NEEDS A RESTART for site.listen", "config")
	want(t, codeDone, "Epoch 5 is in force", "config", "rollback", "1")
	want(t, codeDone, "rollback to epoch 1", "config", "history")

	editor := filepath.Join(dir, "editor")
	kept := t.TempDir() // what nobody has written anything in is not kept
	t.Setenv("TMPDIR", kept)
	keeps := func(files int) {
		t.Helper()
		if all, err := os.ReadDir(kept); err != nil || len(all) != files {
			t.Errorf("%d are kept, not %d; %v", len(all), files, err)
		}
	}
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "")
	want(t, codeUsage, "say in EDITOR", "config", "edit", "site.yaml")
	os.WriteFile(editor, []byte("#!/bin/sh\nexit 1\n"), 0o755)
	t.Setenv("VISUAL", editor)
	want(t, codeFailed, "exit status 1", "config", "edit", "site.yaml")
	keeps(0)
	os.WriteFile(editor, []byte("#!/bin/sh\necho 'banner: Edited' >> \"$1\"\n"), 0o755)
	t.Setenv("VISUAL", editor)
	want(t, codeDone, `"Edited"`, "config", "edit", "site.yaml")
	keeps(0)
	os.WriteFile(editor, []byte("#!/bin/sh\necho 'baner: x' >> \"$1\"\n"), 0o755)
	want(t, codeRefused, "what you have written is kept", "config", "edit", "site.yaml")
	keeps(1)
	os.WriteFile(editor, []byte("#!/bin/sh\n"), 0o755)
	want(t, codeDone, "Nothing was changed.", "config", "edit", "site.yaml")
	keeps(1)

	var v configView
	got := want(t, codeDone, `"uses":6`, "config", "-json")
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Epoch != 6 || len(v.Nodes) != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, args := range []string{"explain site", "history", "diff 1 4", "get site.yaml"} {
		want(t, codeDone, "", append([]string{"config", "-json"}, strings.Fields(args)...)...)
	}
	releasesOfAFarm(t)
}

// releasesOfAFarm tries the verbs about releases on the farm of TestConfigOfAFarm, whose epoch 6 is in force.
func releasesOfAFarm(t *testing.T) {
	want(t, codeDone, "Epoch 6, release ", "releases")
	var all order.Releases
	got := want(t, codeDone, `"releases"`, "releases", "-json")
	if err := json.Unmarshal([]byte(got.out), &all); err != nil || len(all.Epochs) != 6 {
		t.Fatalf("%+v, %v", all, err)
	}
	now, before := all.Epochs[5].Release, all.Epochs[4].Release
	want(t, codeDone, "Epoch 7 is in force", "rollback", "-m", "back")
	want(t, codeDone, "IN FORCE", "releases")
	want(t, codeDone, "Epoch 8 is in force", "activate", strconv.FormatUint(now, 10), "-unreachable", "refuse",
		"-confirm", "5s")
	want(t, codeDone, "Epoch 9 is in force", "rollback", "-strict=5s", "-m", "back")
	want(t, codeDone, "Epoch 10 is in force", "activate", strconv.FormatUint(now, 10), "-strict=5s")
	want(t, codeUsage, "-nodes is missing", "canary", "7")
	want(t, codeUsage, "no length of time", "activate", "1", "-confirm", "soon")
	want(t, codeRefused, "no such release is kept", "activate", "777")
	want(t, codeRefused, `"z" is no member`, "canary", strconv.FormatUint(before, 10), "-nodes", "b,z")
	want(t, codeDone, "is shown by b", "canary", strconv.FormatUint(before, 10), "-nodes", "b")
	want(t, codeDone, "CANARY on b", "releases")
	want(t, codeRefused, "it shows the canary", "drift")
	want(t, codeRefused, "busy", "config", "set", "site", "prices.tea", "321")
	want(t, codeDone, "given up", "canary", "end")
	want(t, codeRefused, "no such rollout", "abort")
	want(t, codeDone, "in step", "drift")
	want(t, codeDone, `"not_asked":""`, "drift", "-json")
}
