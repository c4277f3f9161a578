package content

import (
	"errors"
	"fmt"
	"strings"
)

// ErrRefused is what Problems are: what was given breaks a rule of content, and nothing has come of it.
var ErrRefused = errors.New("content: refused")

// ErrNewer says that a manifest is of a newer program than this one.
var ErrNewer = errors.New("content: this manifest needs a newer program")

// ErrManifest says that what should be a manifest is none: it is damaged, or nothing that this package wrote.
var ErrManifest = errors.New("content: this is no manifest")

// Problem is a rule that is broken, and by which path. The path is empty where it is about the whole.
type Problem struct{ Path, Rule string }

// String is one line, of which a long path is only the beginning.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Rule
	}
	return fmt.Sprintf("%.240q: %s", p.Path, p.Rule)
}

// maxProblems is how many problems are said at once.
const maxProblems = 50

// Problems is the error of content that is refused: up to 50 of what is wrong with it.
type Problems []Problem

// Error has a line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return ErrRefused.Error() + ": " + lines[0]
	}
	return fmt.Sprintf("%v: %d problems\n  %s", ErrRefused, len(lines), strings.Join(lines, "\n  "))
}

// Is makes errors.Is(err, ErrRefused) true.
func (ps Problems) Is(target error) bool { return target == ErrRefused }

func (ps *Problems) add(path, rule string, args ...any) {
	if len(*ps) < maxProblems {
		*ps = append(*ps, Problem{path, fmt.Sprintf(rule, args...)})
	}
}

func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
