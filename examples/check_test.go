package examples_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestShopCheck has the shop check its site, as CI does: by the exit code, and lines with file and place.
func TestShopCheck(t *testing.T) {
	shop := program(t, "shop")
	site := t.TempDir()
	file := filepath.Join(site, "config", "site.yaml")
	check := func(text string, args ...string) (code int, out string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(shop, append([]string{"farm", "check"}, args...)...)
		cmd.Dir = site
		b, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), filepath.ToSlash(string(b))
	}
	for _, c := range []struct {
		text string
		args string
		code int
		want string
	}{
		{"banner: Sale\nprices: {tea: 1500}\n", ".", 0, "All right: 1 file of configuration."},
		{"banner: Sale\nprices: {tea: 1500}\n", "config", 0, "1 file of configuration."},
		{"banner: Sale\n", "config/site.yaml", 0, "1 file of configuration."},
		{"baner: Sale\nprices: {tea: 1500}\n", ".", 5, "config/site.yaml:1:1: baner: unknown field; did you mean banner?\n" +
			"shop farm: no farm would take this: 1 problem"},
		{"prices:\n  tea: cheap\n  milk: 3\n", ".", 5, "config/site.yaml:2:8: prices.tea: is the text \"cheap\""},
		{"prices: {milk: 3}\n", ".", 5, `there is no "milk" to have a price`},
		{"banner: [\n", ". -json", 5, `"file":"config/site.yaml","line":`},
		{"", "nowhere", 1, "nowhere"},
		{"", "", 2, "shop farm check FOLDER"},
	} {
		if code, out := check(c.text, strings.Fields(c.args)...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("check %s of %q: %d\n%s\nwant %d\n%s", c.args, c.text, code, out, c.code, c.want)
		}
	}
}
