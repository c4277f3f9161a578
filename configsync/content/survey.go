package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// foundFile is a regular file that is to be packed.
type foundFile struct {
	path string
	info fs.FileInfo
}

type found struct {
	files []foundFile
	dirs  []string // empty
}

// errEnough ends a walk that has found more than a release may have.
var errEnough = errors.New("enough")

// Survey says what Pack would refuse, without reading any file, and returns how many files there are, with how
// many bytes. The error is Problems, or that of looking.
func Survey(ctx context.Context, fsys fs.FS, cfg PackConfig) (files int, bytes int64, err error) {
	cfg.Limits = cfg.Limits.orDefaults()
	if err := checkPatterns(cfg.Include, cfg.Exclude, cfg.Immutable); err != nil {
		return 0, 0, err
	}
	found, err := survey(ctx, fsys, &cfg)
	for _, f := range found.files {
		bytes += f.info.Size()
	}
	return len(found.files), bytes, err
}

// survey looks at all of a folder before anything is put anywhere, and says all that is wrong at once.
func survey(ctx context.Context, fsys fs.FS, cfg *PackConfig) (found, error) {
	s := surveyor{cfg: cfg, seen: make(map[string]bool)}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("content: %w", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p == ".":
			return nil
		}
		return s.visit(p, d)
	})
	if err != nil && err != errEnough {
		return found{}, err
	}
	s.check()
	return s.found, s.problems.err()
}

type surveyor struct {
	cfg      *PackConfig
	found    found
	problems Problems
	entered  []string        // folders
	seen     map[string]bool // folders that have something in them
	bytes    int64
}

func (s *surveyor) visit(p string, d fs.DirEntry) error {
	if p == "config" && d.IsDir() {
		return fs.SkipDir
	}
	if p == "release.yaml" {
		return nil
	}
	if why := s.unwanted(p); why != "" {
		if s.cfg.Excluded != nil {
			s.cfg.Excluded(p, why)
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	s.seen[path.Dir(p)] = true
	if len(s.found.files)+len(s.entered) > 2*s.cfg.Limits.Files {
		s.problems.add("", "a release has at most %d files and empty folders", s.cfg.Limits.Files)
		return errEnough
	}
	if rule := pathRule(p, s.cfg.Limits); rule != "" {
		s.problems.add(p, "%s", rule)
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if d.IsDir() {
		s.entered = append(s.entered, p)
		return nil
	}
	return s.file(p, d)
}

func (s *surveyor) file(p string, d fs.DirEntry) error {
	if rule := typeRule(d.Type()); rule != "" {
		s.problems.add(p, "%s", rule)
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	switch size := info.Size(); {
	case info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		s.problems.add(p, "a file with the bit setuid or setgid is refused")
	case linkedTwice(info) && !s.cfg.HardLinks:
		s.problems.add(p, "a file with several names (hard links) is refused")
	case size > s.cfg.Limits.FileBytes:
		s.problems.add(p, "a file has at most %d bytes, and this one has %d", s.cfg.Limits.FileBytes, size)
	default:
		s.bytes += size
		s.found.files = append(s.found.files, foundFile{p, info})
	}
	return nil
}

func typeRule(t fs.FileMode) string {
	switch {
	case t.IsRegular():
		return ""
	case t&fs.ModeSymlink != 0:
		return "a symbolic link is refused: what it leads to need not be of the folder"
	case t&(fs.ModeDevice|fs.ModeCharDevice) != 0:
		return "a device is refused"
	case t&fs.ModeNamedPipe != 0:
		return "a named pipe is refused"
	case t&fs.ModeSocket != 0:
		return "a socket is refused"
	}
	return "what is neither a file nor a folder is refused"
}

// check adds what can be said only of all paths together.
func (s *surveyor) check() {
	for _, d := range s.entered {
		if !s.seen[d] {
			s.found.dirs = append(s.found.dirs, d)
		}
	}
	slices.Sort(s.found.dirs)
	slices.SortFunc(s.found.files, func(a, b foundFile) int { return strings.Compare(a.path, b.path) })
	if n := len(s.found.files) + len(s.found.dirs); n > s.cfg.Limits.Files {
		s.problems = nil
		s.problems.add("", "a release has at most %d files and empty folders, and this one has %d",
			s.cfg.Limits.Files, n)
		return
	}
	c := checker{names: make(map[string]named)}
	for _, f := range s.found.files {
		c.name(f.path, file)
	}
	for _, d := range s.found.dirs {
		c.name(d, emptyDir)
	}
	if s.bytes > s.cfg.Limits.Bytes {
		s.problems.add("", "the files of a release have at most %d bytes, and these have %d", s.cfg.Limits.Bytes,
			s.bytes)
	}
	s.problems = append(s.problems, c.problems...)
	s.problems = s.problems[:min(len(s.problems), maxProblems)]
}
