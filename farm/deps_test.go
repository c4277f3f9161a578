package farm_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed48eb2e21/webfarm"

// rule says what the packages below the folders of may not import, and why.
type rule struct {
	of      []string // folders; a folder stands for everything below it
	but     []string // except these
	imports []string // import paths, or their beginnings
	direct  bool     // only what is written in the package's own files counts, not what that brings in
	why     string
}

var rules = []rule{
	{
		of:      []string{"session", "configsync"},
		imports: []string{module + "/cluster", "github.com/hashicorp/"},
		why:     "state machines are opened over any log that has the few methods they declare; tests and other stores need no cluster",
	},
	{
		of:      []string{"session", "configsync", "cluster"},
		imports: []string{module + "/farm"},
		why:     "arrows point one way: farm wires the others together, and each of them is of use without it",
	},
	{
		of:      []string{"cluster"},
		imports: []string{module + "/session", module + "/configsync", module + "/cmd"},
		why:     "the cluster replicates named state machines and knows nothing about them",
	},
	{
		of:      []string{"cluster"},
		imports: []string{"net/http", "github.com/go-chi/"},
		direct:  true,
		why:     "the cluster knows nothing of HTTP",
	},
	{
		of:      []string{"."},
		but:     []string{"cluster"},
		imports: []string{"github.com/hashicorp/raft", "github.com/hashicorp/memberlist", "github.com/hashicorp/raft-wal"},
		direct:  true,
		why:     "only the cluster knows by which libraries it works, so that it can change them",
	},
	{
		of:      []string{"cluster/internal/link"},
		imports: []string{"github.com/hashicorp/", module + "/cluster/internal/port", module + "/cluster/internal/trust"},
		why:     "connections between nodes are read and tested on their own: they are given what dials and what says hello",
	},
	{
		of:      []string{"cluster/admin", "cluster/backup", "cluster/internal/adminwire", "farm/farmctl", "cmd"},
		imports: []string{"github.com/hashicorp/"},
		why:     "who operates a farm talks to it, and needs nothing of what makes a node",
	},
	{
		of: []string{"configsync/credential"},
		imports: []string{module + "/cluster", module + "/session", module + "/configsync/internal",
			module + "/configsync/content", module + "/configsync/keyring"},
		why: "whoever holds a credential signs with it on a machine that has nothing of the farm",
	},
	{
		of:      []string{"configsync/blob"},
		but:     []string{"configsync/blob/swarm"},
		imports: []string{"net", module + "/configsync/blob/swarm"},
		why:     "who only names blobs, as the replicated state does, needs nothing of the network",
	},
	{
		of:      []string{"configsync/content"},
		imports: []string{module + "/cluster", module + "/session", module + "/configsync/internal", module + "/configsync/keyring"},
		why:     "content is files: it is given where blobs are and what signs, and is tested with a folder",
	},
	{
		of:      []string{"farm/internal/publish"},
		imports: []string{module + "/cluster", module + "/session", "github.com/hashicorp/"},
		why:     "its half for publishers is a part of farmctl, and its half for nodes is tested without any",
	},
	{
		of:      []string{"farm/forward"},
		imports: []string{module + "/session", module + "/configsync"},
		why:     "forwarding is about requests, not about what they do",
	},
	{
		of: []string{"farm/once"},
		imports: []string{module + "/cluster", module + "/session", module + "/configsync", module + "/farm/forward",
			"github.com/hashicorp/"},
		why: "locks and jobs are a state machine over any log that has the few methods they declare",
	},
	{
		of:      []string{"farm/dev"},
		imports: []string{"github.com/hashicorp/", module + "/session", module + "/configsync", module + "/farm/forward"},
		why:     "a launcher looks at its nodes from outside, as an operator does: it is no node itself",
	},
	{
		of:      []string{"."},
		but:     []string{"examples"},
		imports: []string{module + "/examples"},
		why:     "examples use the library, never the other way round",
	},
	{
		of:      []string{"."},
		but:     testKits,
		imports: []string{"testing", "net/http/httptest", module + "/farm/farmtest", module + "/session/sessiontest"},
		direct:  true,
		why:     "what only tests need does not belong into the program of everybody",
	},
	{
		of:      []string{"."},
		imports: []string{"github.com/stretchr/testify", "unsafe", "C"},
		direct:  true,
		why:     "plain testing, portable code",
	},
}

// testKits are the packages that exist for tests.
var testKits = []string{
	"farm/farmtest", "session/sessiontest", "internal/bubble", "internal/ci", "internal/corpus",
	"cluster/internal/testkv", "farm/forward/internal/peertest", "internal/memnet", "internal/parts",
	"configsync/blob/internal/blobtest",
}

// direct are the modules that the core may require, with what for.
var direct = map[string]string{
	"github.com/anishathalye/porcupine":   "tests: whether a history of locks is linearizable",
	"github.com/go-chi/chi/v5":            "Farm.Router, and the examples",
	"github.com/hashicorp/go-hclog":       "raft's logger is of this type",
	"github.com/hashicorp/memberlist":     "gossip",
	"github.com/hashicorp/raft":           "the log",
	"github.com/hashicorp/raft-wal":       "the log on disk",
	"github.com/vmihailenco/msgpack/v5":   "session values",
	"go.yaml.in/yaml/v3":                  "configuration files",
	"github.com/prometheus/client_golang": "metrics",
	"github.com/klauspost/compress":       "content",
	"github.com/fsnotify/fsnotify":        "staging folders",
	"github.com/coder/websocket":          "the console",
	"golang.org/x/text":                   "content: normal forms of Unicode in paths, whose tables the standard library lacks",
}

// TestImports holds the house plan: who may import whom.
func TestImports(t *testing.T) {
	imports := readImports(t)
	used := make(map[int]bool)
	for dir := range imports {
		for i, r := range rules {
			if !r.about(dir) {
				continue
			}
			used[i] = true
			reached := imports[dir]
			if !r.direct {
				reached = closure(imports, dir)
			}
			for _, path := range reached {
				if r.forbids(path) {
					t.Errorf("%s imports %s: %s", dir, path, r.why)
				}
			}
		}
	}
	for i, r := range rules {
		if !used[i] {
			t.Errorf("no package is in %v any more: the rule about %v means nothing", r.of, r.imports)
		}
	}
}

func (r rule) about(dir string) bool {
	return slices.ContainsFunc(r.of, func(f string) bool { return below(dir, f) }) &&
		!slices.ContainsFunc(r.but, func(f string) bool { return below(dir, f) })
}

func (r rule) forbids(path string) bool {
	return slices.ContainsFunc(r.imports, func(p string) bool {
		return path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/")
	})
}

func below(dir, folder string) bool {
	return folder == "." || dir == folder || strings.HasPrefix(dir, folder+"/")
}

// TestDirectDependencies keeps the list of what users of the library have to trust.
func TestDirectDependencies(t *testing.T) {
	b, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^\s*(?:require\s+)?([a-z0-9.-]+\.[a-z]+/\S+) v\S+$`)
	found := required.FindAllStringSubmatch(string(b), -1) // indirect ones end with a comment
	if len(found) < 5 {
		t.Fatalf("only %d requirements were recognised in go.mod", len(found))
	}
	for _, m := range found {
		if direct[m[1]] == "" {
			t.Errorf("go.mod requires %s, which is not on the list of direct dependencies", m[1])
		}
	}
}

func importsOf(specs []*ast.ImportSpec) []string {
	var paths []string
	for _, s := range specs {
		if path, err := strconv.Unquote(s.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// readImports returns what the packages of the core module import in their own files, tests apart, by folder.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	root := ".."
	imports := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, path)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		imports[dir] = append(imports[dir], importsOf(file.Imports)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(imports) < 6 {
		t.Fatalf("only %d packages found", len(imports))
	}
	return imports
}

// skip leaves out hidden folders, test data, and other modules.
func skip(root, path string) error {
	name := filepath.Base(path)
	if path != root && (name[0] == '.' || name[0] == '_' || name == "testdata") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
		return filepath.SkipDir
	}
	return nil
}

// closure returns what the package in dir imports, directly or by other packages of the module.
func closure(imports map[string][]string, dir string) []string {
	all := make(map[string]bool)
	var visit func(string)
	visit = func(dir string) {
		for _, path := range imports[dir] {
			if all[path] {
				continue
			}
			all[path] = true
			if inner, ok := strings.CutPrefix(path, module+"/"); ok {
				visit(inner)
			}
		}
	}
	visit(dir)
	return slices.Sorted(maps.Keys(all))
}
