package farmctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// heap is what everybody writes to.
type heap struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heap) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(b)
}

func (h *heap) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

// secretFarm is two nodes with data directories, and all that they and farmctl say.
type secretFarm struct {
	t     *testing.T
	said  heap
	dirs  []string
	nodes []*farm.Farm
}

func openSecretFarm(t *testing.T, keys []string) *secretFarm {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	f := &secretFarm{t: t}
	for _, name := range []string{"a", "b"} {
		f.dirs = append(f.dirs, t.TempDir())
		c := farm.Config{Name: name, Configs: []configsync.Declared{shopOf}, Dir: f.dirs[len(f.dirs)-1],
			ConfigKeys: keys, Logger: slog.New(slog.NewJSONHandler(&f.said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		if len(f.nodes) > 0 {
			c.Join = []string{f.nodes[0].Cluster().Addr()}
		}
		f.nodes = append(f.nodes, openFarm(t, c))
		t.Setenv("FARM_JOIN", f.nodes[0].Cluster().Addr())
	}
	return f
}

// want is want, with something on standard input.
func (f *secretFarm) want(in string, code int, text string, args ...string) string {
	f.t.Helper()
	got := ctlAs(f.t, console{in: strings.NewReader(in)}, args...)
	if got.code != code || !strings.Contains(got.out+got.err, text) {
		f.t.Errorf("farmctl %s: %+v; want code %d and %q", strings.Join(args, " "), got, code, text)
	}
	io.WriteString(&f.said, got.out+got.err)
	return got.out
}

// reads wants every node's program to read a token.
func (f *secretFarm) reads(token string) {
	f.t.Helper()
	for _, n := range f.nodes {
		ci.Awaited(f.t, "all that was acknowledged", n.Cluster().Handle("config").Barrier(f.t.Context()))
		if got := shopOf.Get(n.Configs().Context(f.t.Context())).Token.Reveal(); got != token {
			f.t.Errorf("a node has the token %q, want %q", got, token)
		}
	}
}

// fails has a node's program panic and log with its configuration, and is asked for it by HTTP.
func (f *secretFarm) fails(n *farm.Farm) {
	h := n.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := shopOf.Get(r.Context())
		json.NewEncoder(w).Encode(c)
		fmt.Fprintf(w, "%v %+v %#v %s", c, c, *c, c.Token)
		slog.New(slog.NewTextHandler(&f.said, nil)).Info("config", "whole", c, "token", c.Token)
		panic(fmt.Sprintf("%+v %+v", c, *c))
	}))
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(&f.said, "", 0)
	s.Start()
	defer s.Close()
	if res, err := s.Client().Get(s.URL); err == nil {
		io.Copy(&f.said, res.Body)
		res.Body.Close()
	}
}

// search wants none of the words in any file of the data directories, in no state, and in nothing that was said.
func (f *secretFarm) search(words ...string) {
	f.t.Helper()
	look := func(where, text string) {
		for _, w := range words {
			if strings.Contains(text, w) {
				f.t.Errorf("%s holds %q", where, w)
			}
		}
	}
	look("what was said", f.said.String())
	files, plain := 0, false
	for i, dir := range f.dirs {
		var state bytes.Buffer
		h := f.nodes[i].Cluster().Handle("config")
		h.Local().(*configsync.Machine).Snapshot().WriteTo(&state)
		look("the state", state.String())
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			look(path, string(b))
			files, plain = files+1, plain || strings.Contains(string(b), "banner: Still")
			return err
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if files == 0 || !plain || !strings.Contains(f.said.String(), "secret ") {
		f.t.Errorf("there was nothing to search: %d files, what is no secret is in them: %v", files, plain)
	}
}

// Slow: a farm of two nodes on disks.
func TestSecretsAreFoundNowhere(t *testing.T) {
	f := openSecretFarm(t, nil)
	first, second := "finch-1a6f\"\n$x: 'äö", "finch-2b7e"
	f.want("", codeUsage, "no secret on standard input", "config", "secret", "site", "token")
	f.want("x", codeRefused, "site.banner is no secret", "config", "secret", "site", "banner")
	f.want("x", codeRefused, "did you mean token?", "config", "secret", "site", "tokn")
	f.want(first+"\n", codeDone, "Epoch 1 is in force", "config", "secret", "site", "token", "-m", "new contract")
	f.reads(first)
	f.want(first, codeDone, "Nothing was changed", "config", "secret", "site", "token", "-dry-run")
	f.want(second, codeDone, "Epoch 2 is in force", "config", "secret", "site", "token")
	f.reads(second)
	f.want("", codeDone, "token", "config", "diff", "1", "2")
	f.want("", codeDone, "Epoch 3 is in force", "config", "rollback", "1")
	f.reads(first)

	sealed := strings.TrimSpace(f.want(second, codeDone, "{$secret: s1.", "config", "secret", "-print", "site", "token"))
	dir := t.TempDir()
	file := filepath.Join(dir, "site.yaml")
	os.WriteFile(file, []byte("# mine\ntoken: "+sealed+"\nbanner: File\n"), 0o600)
	f.want("", codeDone, "Epoch 4 is in force", "config", "put", file)
	f.reads(second)
	os.WriteFile(file, []byte("token: not-a-finch\n"), 0o600)
	f.want("", codeRefused, "site.yaml:1:8: token: is a secret in plain text", "config", "put", file)
	os.WriteFile(file, []byte("token: "+sealed[:len(sealed)-4]+"AAA}\n"), 0o600)
	f.want("", codeRefused, "token: was sealed for another field, or has been changed", "config", "put", file)

	f.want("", codeDone, "Key 2 of config signs", "keys", "rotate", "config")
	old := f.want("", codeDone, "# mine", "config", "get", "site.yaml")
	f.want("", codeDone, "No value differs", "config", "reseal")
	if again := f.want("", codeDone, "# mine", "config", "get", "site.yaml"); again == old {
		t.Errorf("sealed anew: %s", again)
	}
	f.reads(second)
	f.want("", codeDone, "", "keys", "revoke", "-yes", "config/1")
	f.want("", codeRefused, "are sealed with key 2 of config and would be lost", "keys", "revoke", "-yes", "config/2")
	f.want("", codeRefused, "was sealed with a key that was revoked", "config", "rollback", "1")
	f.want("", codeDone, "Epoch 6 is in force", "config", "set", "site", "banner", "Still")
	f.reads(second)

	for _, verb := range []string{"explain site", "history", "diff 1 4", "diff 4 6", "get site.yaml", ""} {
		for _, json := range []string{"", "-json"} {
			f.want("", codeDone, "", append([]string{"config"}, strings.Fields(verb+" "+json)...)...)
		}
	}
	for _, verb := range []string{"releases", "stats", "drift", "keys", "members", "credential list"} {
		for _, json := range []string{"", "-json"} {
			f.want("", codeDone, "", strings.Fields(verb+" "+json)...)
		}
	}
	f.want("", codeDone, "", "backup", filepath.Join(f.dirs[0], "backup"))
	f.fails(f.nodes[1])
	f.search("finch", "not-a-finch", fmt.Sprintf("%x", "finch"), "ZmluY2g")
}
