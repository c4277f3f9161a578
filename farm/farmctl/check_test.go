package farmctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"text/template"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// tree writes files, from path to text, and returns their folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	clean(t)
	sealed := "{$secret: s1.0123456789abcdef.AQID}"
	for name, c := range map[string]struct {
		files map[string]string
		at    string // within the folder
		code  int
		out   string // DIR stands for the folder
		err   string
	}{
		"right": {map[string]string{"config/site.yaml": "banner: x\ntoken: " + sealed, "config/nodes/n1/site.json": "{}",
			"public/index.html": "x", "release.yaml": "program: 1.4.0\nnote: spring\n", "config/.hidden": "x"}, "", codeDone,
			"All right: 2 files of configuration, and 1 file of content with 1 B. Nobody but a node can open what is sealed: 1 secret.\n", ""},
		"no configuration": {map[string]string{"public/index.html": "x"}, "", codeDone, "All right: 0 files", ""},
		"empty":            {map[string]string{}, "", codeDone, "All right: 0 files", ""},
		"config alone":     {map[string]string{"site.yaml": "banner: x\n"}, "", codeDone, "All right: 1 file ", ""},
		"one file":         {map[string]string{"site.yaml": "banner: x\n"}, "site.yaml", codeDone, "All right: 1 file ", ""},
		"newer program": {map[string]string{"public/index.html": "x", "release.yaml": "note: x\nprogram: 1.5.0\n"}, "",
			codeRefused, "DIR/release.yaml:2:1: program: the release needs version 1.5.0 of the program; this is 1.4.2: update it first\n",
			"1 problem"},
		"no version": {map[string]string{"public/index.html": "x", "release.yaml": "program: soon\n"}, "", codeRefused,
			"DIR/release.yaml:1:1: program: the release needs version soon", "1 problem"},
		"wrong": {map[string]string{"config/site.yaml": "baner: x\nprices: {tea: 1001}\n",
			"config/roles/front/site.yaml": "prices: {tea: 1001}\n", "release.yaml": "programm: 1\n"}, "", codeRefused,
			"DIR/release.yaml:1:1: programm: unknown field; did you mean program?\n" +
				"DIR/config/site.yaml:1:1: baner: unknown field; did you mean banner?\n", "no farm would take this: 2 problems"},
		"wrong for a role": {map[string]string{"config/roles/front/site.yaml": "\nprices: {tea: 1001}\n"}, "", codeRefused,
			"DIR/config/roles/front/site.yaml: nobody pays more than 1000 for tea (for role front)\n", "1 problem"},
		"wrong place": {map[string]string{"config/rols/front/site.yaml": "banner: x\n"}, "", codeRefused,
			"DIR/config/rols/front/site.yaml: is in no place", "1 problem"},
		"another config": {map[string]string{"sit.yaml": "banner: x\n"}, "", codeRefused,
			`DIR/sit.yaml: this program has no config "sit"; did you mean site?`, "1 problem"},
		"a secret": {map[string]string{"config/site.yaml": "token: finch\n"}, "", codeRefused,
			"DIR/config/site.yaml:1:8: token: is a secret in plain text", "1 problem"},
		"content": {map[string]string{"public/a.html": "x", "public/A.html": "x", "public/aux.txt": "x", ".env": "x",
			"public/.git/config": "x"}, "", codeRefused, "DIR/public/", "DIR/.env: is left out: "},
		"not there": {nil, "nowhere", codeFailed, "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, c.files)
			con := console{name: "shop farm", configs: []configsync.Declared{shopOf}, version: "1.4.2"}
			got := ctlAs(t, con, "check", filepath.Join(dir, c.at))
			out := filepath.ToSlash(strings.ReplaceAll(got.out, dir, "DIR"))
			got.err = filepath.ToSlash(strings.ReplaceAll(got.err, dir, "DIR"))
			if got.code != c.code || !strings.HasPrefix(out, c.out) || !strings.Contains(got.err, c.err) ||
				strings.Contains(got.out+got.err, "finch") {
				t.Errorf("%d %s%s; want %d %s%s", got.code, out, got.err, c.code, c.out, c.err)
			}
		})
	}
}

func TestCheckForScripts(t *testing.T) {
	dir := tree(t, map[string]string{"site.yaml": "prices: {tea: cheap}\n"})
	con := console{configs: []configsync.Declared{shopOf}}
	got := ctlAs(t, con, "check", dir, "-json")
	var done checked
	want := checked{Files: 1, Excluded: []excluded{}, Problems: []checkProblem{{filepath.Join(dir, "site.yaml"), 1, 15, "prices.tea",
		`is the text "cheap"; it takes a whole number, in decimal`}}}
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || !reflect.DeepEqual(done, want) ||
		got.code != codeRefused {
		t.Errorf("%+v, %v", got, err)
	}
	os.WriteFile(filepath.Join(dir, "site.yaml"), nil, 0o644)
	if got = ctlAs(t, con, "check", dir, "-json"); got.code != codeDone ||
		got.out != `{"files":1,"secrets":0,"content":0,"bytes":0,"excluded":[],"problems":[]}`+"\n" {
		t.Errorf("%+v", got)
	}
	old := tree(t, map[string]string{"public/a": "x", "release.yaml": "program: 1.4.0\n"})
	if got = ctlAs(t, con, "check", old); got.code != codeDone || !strings.Contains(got.err, "1.4.0 is not compared") {
		t.Errorf("without a version: %+v", got)
	}
	if got = ctl(t, "check", dir); got.code != codeUsage || !strings.Contains(got.err, "site's own program") {
		t.Errorf("by farmctl itself: %+v", got)
	}
	if got = ctl(t, "check"); got.code != codeUsage {
		t.Errorf("%+v", got)
	}
}

// TestCheckContent: the program's own check sees what would be published, and no more.
func TestCheckContent(t *testing.T) {
	dir := tree(t, map[string]string{"public/index.html": "x", "public/.git/a": "x", "templates/a.tmpl": "{{if}}",
		"config/site.yaml": "banner: x\n", "release.yaml": "note: x\n", "web.config": "x"})
	con := console{configs: []configsync.Declared{shopOf}, checkContent: func(_ context.Context, files fs.FS) error {
		if err := fstest.TestFS(files, "public/index.html", "templates/a.tmpl"); err != nil {
			return err
		}
		for _, hidden := range []string{"public/.git/a", "public/.git", "config", "release.yaml", "web.config"} {
			if _, err := fs.Stat(files, hidden); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %v", hidden, err)
			}
		}
		_, err := template.ParseFS(files, "templates/*")
		return err
	}}
	if got := ctlAs(t, con, "check", dir); got.code != codeRefused ||
		!strings.Contains(got.out, "content: template: a.tmpl:1: missing value for if") {
		t.Errorf("%+v", got)
	}
	con.checkContent = func(context.Context, fs.FS) error { panic("oops") }
	if got := ctlAs(t, con, "check", dir); got.code != codeRefused || !strings.Contains(got.out, "content: panic: oops") {
		t.Errorf("%+v", got)
	}
}
