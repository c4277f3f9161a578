package farmctl

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// errorSources has the files whose texts people can see: those of the verbs, and of what a node answers them.
var errorSources = []string{"publish.go", "publishsite.go", "publishkey.go", "config.go", "configedit.go",
	"configsecret.go",
	"configschema.go", "releases.go", "credential.go", "keys.go", "drift.go", "check.go", "programhttp.go",
	"../configasks.go", "../releaseasks.go", "../rolloutlines.go", "../uploaddoor.go",
	"../../configsync/errors.go", "../../configsync/activate.go", "../../configsync/canary.go",
	"../../configsync/credentials.go", "../../configsync/explain.go", "../../configsync/history.go",
	"../../configsync/overwrite.go", "../../configsync/proposing.go", "../../configsync/secret.go",
	"../../configsync/setfield.go", "../../configsync/version.go", "../../configsync/write.go",
	"../../configsync/credential/errors.go"}

// allProvoked reports each text in the sources that no row has provoked, and that is not among those which are known to
// need more than a table: a new error needs a row.
func (r *errorRig) allProvoked() {
	used := map[string]bool{}
	for _, file := range errorSources {
		for _, e := range errorTexts(r, file) {
			begins := ""
			for text := range unprovoked {
				if strings.HasPrefix(e.text, text) {
					begins, used[text] = text, true
				}
			}
			switch said := slices.ContainsFunc(r.said, e.re.MatchString); {
			case !said && begins == "":
				r.t.Errorf("%s: no row of TestErrors provokes %q", e.at, e.text)
			case said && begins != "":
				r.t.Errorf("%s: %q is provoked: take %q out of the table unprovoked", e.at, e.text, begins)
			}
		}
	}
	for text := range unprovoked {
		if !used[text] {
			r.t.Errorf("no source has %q any more: take it out of the table unprovoked", text)
		}
	}
}

// errorText is the text of an error in a source.
type errorText struct {
	at   token.Position
	text string
	re   *regexp.Regexp
}

// makers are the functions that make errors of texts, with the place of the text among their arguments.
var makers = map[string]int{"fmt.Errorf": 0, "errors.New": 0, "usage": 0}

// errorTexts returns the texts of errors in a file, as far as they have letters enough to be known by.
func errorTexts(r *errorRig, file string) (out []errorText) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, filepath.FromSlash(file), nil, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		var text ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			if i, ok := makers[called(n.Fun)]; ok && len(n.Args) > i {
				text = n.Args[i]
			}
		case *ast.KeyValueExpr: // order.ReleaseError{Text: "..."}
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Text" {
				text = n.Value
			}
		}
		s, ok := literal(text)
		plain := verbOf.ReplaceAllString(s, "")
		if ok && len(plain) >= 8 {
			s = strings.TrimPrefix(strings.TrimPrefix(s, "configsync: "), "%w: ")
			out = append(out, errorText{set.Position(n.Pos()), s, pattern(s)})
		}
		return true
	})
	return out
}

// called returns the name of a function that is called.
func called(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return fmt.Sprintf("%v.%s", f.X, f.Sel.Name)
	}
	return ""
}

// literal returns the text of a literal, or of several with + between them.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		a, ok := literal(e.X)
		b, ok2 := literal(e.Y)
		return a + b, ok && ok2
	}
	return "", false
}

var verbOf = regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`)

// pattern is a text with anything in place of its verbs.
func pattern(text string) *regexp.Regexp {
	var parts []string
	for _, p := range verbOf.Split(text, -1) {
		parts = append(parts, strings.ReplaceAll(regexp.QuoteMeta(p), "\n", `\s+`)) // lines are indented
	}
	return regexp.MustCompile("(?s)" + strings.Join(parts, ".*"))
}
