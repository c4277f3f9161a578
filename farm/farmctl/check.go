package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/farm/internal/sitefolder"
)

func checkVerb() *verb {
	return &verb{
		name: "check", args: "FOLDER", least: 1, most: 1,
		short: "check a site's files without a farm, as CI does",
		long: `
Checks what would be published or put in force: a site's folder, with config/, release.yaml and content in it;
or a folder of configuration alone; or one file of it. It needs no farm, no secret and no network. The types are
those of the program, so it has to be the program's own check:

    shop farm check ./site

Whatever is wrong is a line FILE:LINE:COLUMN: FIELD: TEXT on standard output, as compilers write them, for
every kind of node that files are about. What would not be published, such as .git, is said on standard
error. Where the program has a check of its own for content (farmctl.Program.CheckContent), that is asked too.
The exit code is 0 if nothing is wrong, 5 if something is, and 1 if the files cannot be read. Sealed
secrets cannot be opened here: their form is checked, and what the program says of their text is not.`,
		define: func(c *call) func(context.Context) error {
			c.flags.BoolVar(&c.json, "json", false, "print JSON, for scripts")
			return func(ctx context.Context) error { return c.check(ctx, c.args[0]) }
		},
	}
}

// errWrong is what check says of files that are wrong.
var errWrong = errors.New("no farm would take this")

// checked is what check prints for scripts.
type checked struct {
	Files    int            `json:"files"`    // of configuration
	Secrets  int            `json:"secrets"`  // that are sealed, and were not opened
	Content  int            `json:"content"`  // files of content
	Bytes    int64          `json:"bytes"`    // of content
	Excluded []excluded     `json:"excluded"` // what would not be published with it
	Problems []checkProblem `json:"problems"`
}

// excluded is a file or a folder that content leaves out.
type excluded struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// checkProblem is one thing that is wrong, and where.
type checkProblem struct {
	File   string `json:"file"` // as it can be opened from here
	Line   int    `json:"line"` // from 1; 0 = unknown
	Column int    `json:"column"`
	Field  string `json:"field"` // "" = the whole file
	Text   string `json:"text"`
}

func (c *call) check(ctx context.Context, path string) error {
	done := checked{Problems: []checkProblem{}, Excluded: []excluded{}}
	err := c.checkPath(ctx, &done, path)
	if err != nil {
		return err
	}
	if c.json {
		err = c.printJSON(done)
	} else {
		err = c.sayChecked(done)
	}
	switch n := len(done.Problems); {
	case err != nil || n == 0:
		return err
	case n == 1:
		return fmt.Errorf("%w: 1 problem; mend it, and check again", errWrong)
	default:
		return fmt.Errorf("%w: %d problems; mend them, and check again", errWrong, n)
	}
}

func (c *call) sayChecked(done checked) error {
	for _, p := range done.Problems {
		line := configsync.Problem{File: p.File, Line: p.Line, Column: p.Column, Field: p.Field, Text: p.Text}
		if _, err := fmt.Fprintln(c.out, printable(line.String())); err != nil {
			return err
		}
	}
	for _, e := range done.Excluded {
		fmt.Fprintf(c.err, "%s: is left out: %s\n", printable(e.Path), printable(e.Why))
	}
	if len(done.Problems) > 0 {
		return nil
	}
	content := ""
	if done.Content > 0 {
		content = fmt.Sprintf(", and %s of content with %s", count(done.Content, "file"), size(done.Bytes))
	}
	sealed := ""
	if done.Secrets > 0 {
		sealed = fmt.Sprintf(" Nobody but a node can open what is sealed: %s.", count(done.Secrets, "secret"))
	}
	_, err := fmt.Fprintf(c.out, "All right: %s of configuration%s.%s\n", count(done.Files, "file"), content, sealed)
	return err
}

// count returns a number of things.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// checkPath checks what is at a path. The error is that it cannot be read.
func (c *call) checkPath(ctx context.Context, done *checked, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: say a folder, or a file, that is there", err)
	}
	if !info.IsDir() {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return c.checkConfig(done, filepath.Dir(path), configsync.Files{info.Name(): string(b)}, c.configs)
	}
	if !isSite(path) {
		return c.checkFolder(done, path)
	}
	return c.checkSite(ctx, done, path)
}

// checkSite checks all of a site.
func (c *call) checkSite(ctx context.Context, done *checked, path string) error {
	if b, err := os.ReadFile(filepath.Join(path, sitefolder.ReleaseFile)); err == nil {
		about := configsync.Files{sitefolder.ReleaseFile: string(b)}
		if err := c.checkConfig(done, path, about, []configsync.Declared{sitefolder.Release}); err != nil {
			return err
		}
		done.Files--
		c.checkProgram(done, path, string(b))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if config := filepath.Join(path, "config"); isThere(config) {
		if err := c.checkFolder(done, config); err != nil {
			return err
		}
	}
	if err := done.content(ctx, path); err != nil {
		return err
	}
	return c.checkPages(ctx, done, path)
}

// checkPages has the program check the content, if there is any, and unless it would be refused anyway.
func (c *call) checkPages(ctx context.Context, done *checked, dir string) error {
	if c.checkContent == nil || done.Content == 0 || len(done.Problems) > 0 {
		return nil
	}
	hidden := map[string]bool{"config": true, sitefolder.ReleaseFile: true}
	for _, e := range done.Excluded {
		p, err := filepath.Rel(dir, e.Path)
		if err != nil {
			return err
		}
		hidden[filepath.ToSlash(p)] = true
	}
	err := guarded(func() error { return c.checkContent(ctx, without{os.DirFS(dir), hidden}) })
	if err != nil && ctx.Err() == nil {
		done.Problems = append(done.Problems, checkProblem{File: dir, Text: "content: " + err.Error()})
	}
	return ctx.Err()
}

// guarded turns a panic of the program's own code into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// checkProgram looks whether this program is what release.yaml, of this text, needs.
func (c *call) checkProgram(done *checked, dir, text string) {
	about, err := sitefolder.ReadAbout(os.DirFS(dir))
	if err != nil || about.Program == "" { // what is wrong with the file was said
		return
	}
	file := filepath.Join(dir, sitefolder.ReleaseFile)
	has := c.version
	if has == "" {
		has = about.Program // which is at least looked at
		fmt.Fprintf(c.err, "%s: program: %s is not compared: this program does not say its version (%s)\n",
			printable(file), printable(about.Program), "farmctl.Program{Version: ...}")
	}
	if err := configsync.CheckProgram(has, about.Program); err != nil {
		p := checkProblem{File: file, Field: "program", Text: err.Error()}
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "program:") {
				p.Line, p.Column = i+1, 1
			}
		}
		done.Problems = append(done.Problems, p)
	}
}

// content checks what a site has beside its configuration.
func (done *checked) content(ctx context.Context, dir string) (err error) {
	done.Content, done.Bytes, err = content.Survey(ctx, os.DirFS(dir), content.PackConfig{
		Excluded: func(path, why string) {
			done.Excluded = append(done.Excluded, excluded{filepath.Join(dir, filepath.FromSlash(path)), why})
		}})
	ps, wrong := errors.AsType[content.Problems](err)
	if !wrong {
		return err
	}
	for _, p := range ps {
		done.Problems = append(done.Problems, checkProblem{File: filepath.Join(dir, filepath.FromSlash(p.Path)), Text: p.Rule})
	}
	return nil
}

// isSite reports whether a folder is that of a site, and not one of configuration alone.
func isSite(dir string) bool {
	for _, name := range []string{"config", "public", "templates", sitefolder.ReleaseFile} {
		if isThere(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkFolder checks a folder of configuration.
func (c *call) checkFolder(done *checked, dir string) error {
	files, err := configsync.ReadFolder(os.DirFS(dir))
	if ps := (configsync.Problems{}); errors.As(err, &ps) {
		done.add(dir, ps)
		return nil
	}
	if err != nil {
		return err
	}
	return c.checkConfig(done, dir, files, c.configs)
}

// checkConfig checks files that lie in a folder.
func (c *call) checkConfig(done *checked, dir string, files configsync.Files, configs []configsync.Declared) error {
	if len(files) > 0 && len(configs) == 0 {
		return c.noConfigs("nothing can be checked")
	}
	done.Files += len(files)
	for _, text := range files {
		done.Secrets += strings.Count(text, "$secret")
	}
	err := configsync.Check(files, configs...)
	if ps := (configsync.Problems{}); errors.As(err, &ps) {
		done.add(dir, ps)
		return nil
	}
	return err
}

// add adds problems of files in a folder.
func (done *checked) add(dir string, ps configsync.Problems) {
	for _, p := range ps {
		file := dir
		if p.File != "" {
			file = filepath.Join(dir, filepath.FromSlash(p.File))
		}
		done.Problems = append(done.Problems, checkProblem{file, p.Line, p.Column, p.Field, p.Text})
	}
}
