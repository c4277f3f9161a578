package cluster

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The files that people read here have lines of at most 110 characters. Rows of tables may be longer.
func TestLines(t *testing.T) {
	const most, fewest = 110, 300
	var read int
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".go", ".md", ".txt"}, filepath.Ext(path)) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			line = strings.TrimRight(line, "\r\n")
			if long := utf8.RuneCountInString(line); long > most && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has %d characters; at most %d are easy to read", path, n, long, most)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < fewest {
		t.Errorf("only %d files were found", read)
	}
}
