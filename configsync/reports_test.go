package configsync_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// What users of other ways to configure servers have reported of them, tried here. Each names a report.

type reported struct {
	Text   string            `json:"text"`
	Whole  int64             `json:"whole"`
	On     bool              `json:"on"`
	Labels map[string]string `json:"labels"`
}

var reportedOf = configsync.NewConfig("reported", reported{})

// wrongIn returns what is wrong with the text of a file; "" = nothing.
func wrongIn(name, text string) string {
	if err := configsync.Check(configsync.Files{name: text}, reportedOf); err != nil {
		return err.Error()
	}
	return ""
}

// A whole number stays one, however large, from the command line too (pulumi/pulumi-yaml#561, mikefarah/yq#1756,
// redhat-developer/vscode-yaml#1233, nodeca/js-yaml#277). Text that looks like a number, or like yes and no, is no
// surprise: it is what was written, or it is refused (yaml/pyyaml#417).
func TestNumbersAndWords(t *testing.T) {
	for text, want := range map[string]string{
		"whole: 1048576": "", "whole: 9007199254740993": "", "whole: 1e6": "takes a whole number",
		"whole: 010": "takes a whole number", "whole: 1.0": "takes a whole number",
		"whole: 9223372036854775808": "does not fit", "text: 695e0514": "", "text: no": "", "text: 12:30:45": "",
		"text: 1.10": "write it in quotes", "text: 0123": "write it in quotes", "on: yes": "takes true or false",
		"labels: {no: x}": "",
	} {
		if got := wrongIn("reported.yaml", text); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
	for _, n := range []string{"1048576", "9007199254740993", "9223372036854775807"} {
		text, err := configsync.SetField("reported.yaml", "whole: 1\n", "", "whole", n)
		if err != nil || text != "whole: "+n+"\n" {
			t.Errorf("%s: %q, %v", n, text, err)
		}
	}
}

// What follows a # in a value that somebody types is not lost without a word (overhangio/tutor-indigo#45,
// trevordevore/levure#162).
func TestValueWithAHash(t *testing.T) {
	for value, want := range map[string]string{"#ff0000": "a comment", "Sale # 1": "a comment", "[a] # b": "a comment",
		"a#b": "", `"#ff0000"`: "", "'Sale # 1'": ""} {
		text, err := configsync.SetField("reported.yaml", "text: x # kept\n", "", "text", value)
		switch {
		case want == "" && (err != nil || !strings.HasSuffix(text, " # kept\n") || !strings.Contains(text, value)):
			t.Errorf("%s: %q, %v", value, text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "quotes")):
			t.Errorf("%s: %q, %v", value, text, err)
		}
	}
}

// A file that was saved by an editor of Windows, or indented by tabs, is refused by a sentence that says so, or is as
// good as any other.
func TestFilesOfEditors(t *testing.T) {
	for text, want := range map[string]string{"text: a\r\nwhole: 1\r\n": "", "\ufefftext: a\n": "byte order mark",
		"labels:\n\ta: b\n": "and not by tabs", "text: @shop\n": "reported.yaml:1: "} {
		if got := wrongIn("reported.yaml", text); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q; want %q", text, got, want)
		}
	}
}

// A folder that Kubernetes mounts is of links, and changes by one link that is renamed: each change is seen, also the
// second, and none is seen by half (fsnotify/fsnotify#363, bluenviron/mediamtx#181, open-feature/flagd#42,
// pgEdge/pgedge-rag-server#30). A file that an editor takes away for a moment ends nothing (knadh/koanf#271).
func TestMountedConfigMap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version int) {
		t.Helper()
		data := fmt.Sprintf("..%d", version)
		files := []error{os.Mkdir(filepath.Join(dir, data), 0o755)}
		for _, name := range []string{"site.yaml", "other.yaml"} {
			text := map[string]string{"site.yaml": fmt.Sprintf("banner: v%d\n", version),
				"other.yaml": fmt.Sprintf("n: %d\n", version)}[name]
			files = append(files, os.WriteFile(filepath.Join(dir, data, name), []byte(text), 0o644))
		}
		files = append(files, os.Symlink(data, filepath.Join(dir, "..tmp")),
			os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		for _, err := range files {
			if err != nil {
				ci.Missingf(t, "a right to make links: %v", err) // on Windows
			}
		}
	}
	swap(1)
	for _, name := range []string{"site.yaml", "other.yaml"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	m := open(t, configsync.Settings{Configs: []configsync.Declared{site, other}, Path: dir})
	ctx, cancel := context.WithTimeout(m.Context(t.Context()), time.Minute)
	defer cancel()
	seen := 0
	for v := range site.Follow(ctx) {
		if seen++; v.Value.Banner != fmt.Sprintf("v%d", seen) {
			t.Errorf("%q as change %d", v.Value.Banner, seen)
		}
		if seen == 3 {
			break
		}
		swap(seen + 1)
	}
	if ctx.Err() != nil {
		t.Errorf("%d changes were seen", seen)
	}
	if b, n := site.Load(m.Context(t.Context())).Banner, other.Load(m.Context(t.Context())).N; b != "v3" || n != 3 {
		t.Errorf("%s and %d", b, n)
	}
}

// Values are read while they are switched, by many, without a lock of their own: nobody sees half of a change, and the
// race detector sees nothing (spf13/viper#174, spf13/viper#1394, spf13/viper#2123).
func TestReadersWhileItChanges(t *testing.T) {
	m := newFarm(1).open(t, 0, configsync.Settings{})
	put(t, m, "site.yaml", "banner: \"0\"\nprices: {tea: 0}\n")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				v := site.Load(m.Context(t.Context()))
				if v.Banner != fmt.Sprint(v.Prices["tea"]) {
					t.Errorf("%q with %d", v.Banner, v.Prices["tea"])
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 10 {
		put(t, m, "site.yaml", fmt.Sprintf("banner: \"%d\"\nprices: {tea: %d}\n", i, i))
	}
	close(stop)
	readers.Wait()
}

// Whoever follows slowly misses steps, and not the last; and a file that is taken away is gone, and merges with nothing
// that was there before (etcd-io/etcd#18089, etcd-io/etcd#8668, sensu/sensu-go#3101, hashicorp/consul-template#393).
func TestSlowFollower(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newFarm(1).open(t, 0, configsync.Settings{})
		put(t, m, "site.yaml", "banner: first\n", "nodes/n1/site.yaml", "prices: {tea: 1}\n")
		ctx, cancel := context.WithTimeout(m.Context(t.Context()), time.Hour)
		defer cancel()
		go func() {
			for i := range 100 {
				tryPut(m, "site.yaml", fmt.Sprintf("banner: step %d\n", i))
			}
			e := m.Status().Epoch
			m.Put(ctx, configsync.Change{Write: configsync.Write{Epoch: e}, Remove: []string{"nodes/n1/site.yaml"},
				Set: configsync.Files{"site.yaml": "banner: last\n"}})
		}()
		for v := range site.Follow(ctx) {
			time.Sleep(time.Minute)
			if v.Value.Banner == "last" {
				if len(v.Value.Prices) != 0 {
					t.Errorf("%v is left of the file that was taken away", v.Value.Prices)
				}
				return
			}
		}
		t.Error("the last change was missed")
	})
}
