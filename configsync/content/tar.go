package content

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// ErrArchive says that what should be a tar archive is none, or ends too early.
var ErrArchive = errors.New("content: this is no whole tar archive")

// maxRatio is how many bytes may come of one compressed byte.
const maxRatio = 100

// Tar is a site folder that came as an archive. Its FS is for Pack. Nothing of it was written under a name
// that the archive gave: all files are in one temporary file.
type Tar struct {
	fs.FS
	spool *os.File
}

// Close removes what was read.
func (t *Tar) Close() error {
	return tempdir.Discard(t.spool)
}

// ReadTar reads a tar archive, compressed by gzip or not, such as `tar c site` writes. It spools the files to
// a temporary file in dir, or where the system has such files if dir is "". If all is in one folder which has
// a folder public or config in it, or a release.yaml, that folder is the site. Archives in the archive are
// files like others. What Pack leaves out by its name is left out here if it breaks a rule, such as a link in
// node_modules/.bin.
//
// What breaks a rule of this package is refused by a Problems with all of it: also what leads out of the
// folder, links, devices, holes, and a path that is there twice. Limits are held to by what is read, never by
// what a header says. An archive without its end mark, two empty blocks, is ErrArchive: part of it may have got
// lost on its way. So is one behind which there is anything but zeros, such as another archive, and what is no tar
// archive at all. Other errors are those of r and of the temporary file. The caller closes the Tar.
func ReadTar(ctx context.Context, r io.Reader, dir string, limits Limits) (*Tar, error) {
	spool, err := tempdir.FileIn(dir, "webfarm-tar")
	if err != nil {
		return nil, err
	}
	t := &Tar{spool: spool}
	u := untar{ctx: ctx, limits: limits.orDefaults(), spool: spool, seen: make(map[string]bool)}
	if t.FS, err = u.read(r); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// untar reads one archive.
type untar struct {
	ctx      context.Context
	limits   Limits
	spool    *os.File
	at       int64
	files    []spooled
	dirs     []string
	seen     map[string]bool
	problems Problems
}

type spooled struct {
	leaf
	at int64
}

func (u *untar) read(r io.Reader) (fs.FS, error) {
	plain, err := u.decompressed(r)
	if err != nil {
		return nil, err
	}
	rest := &ending{r: plain}
	archive := tar.NewReader(rest)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			if rest.ended && len(u.seen) > 0 {
				return nil, fmt.Errorf("%w: it ends before its end mark, as after a connection that broke or a tar that failed",
					ErrArchive)
			}
			if err := u.toEnd(plain); err != nil {
				return nil, err
			}
			break
		}
		if err == nil || errors.Is(err, tar.ErrInsecurePath) {
			err = u.entry(h, archive)
		} else {
			err = archiveError(err)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(u.seen) == 0 {
		return nil, fmt.Errorf("%w: there is nothing in it", ErrArchive)
	}
	c := checker{names: make(map[string]named), problems: u.problems}
	for _, d := range u.dirs {
		c.name(d, dir)
	}
	for _, f := range u.files {
		c.name(f.path, file)
	}
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	return u.tree(), nil
}

func (u *untar) entry(h *tar.Header, r io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if _, ok := h.PAXRecords["GNU.volume.offset"]; ok { // the first is a part of a file, with --format=posix
		return Problems{{h.PAXRecords["GNU.volume.filename"], gnuRules['M']}}
	}
	if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == typeGNULabel {
		return nil
	}
	p := strings.TrimPrefix(h.Name, "./")
	isDir := h.Typeflag == tar.TypeDir
	if isDir {
		p = strings.TrimSuffix(p, "/")
	}
	if isDir && (p == "" || p == ".") {
		u.seen["."] = true
		return nil
	}
	if len(u.seen) > 2*u.limits.Files {
		return Problems{{Rule: fmt.Sprintf("there are more than %d entries in the archive", 2*u.limits.Files)}}
	}
	rule := u.rule(p, h)
	if rule != "" && nobodyWants(p) && !strings.HasPrefix(p, "/") && !slices.Contains(strings.Split(p, "/"), "..") {
		u.seen[fmt.Sprint(len(u.seen))+"\x00"] = true
		return nil // Pack would leave it out before it looks at what it is
	}
	if rule != "" {
		u.problems.add(h.Name, "%s", rule)
		if len(u.problems) == maxProblems {
			return u.problems
		}
		u.seen[fmt.Sprint(len(u.seen))+"\x00"] = true // refused entries count
		return nil
	}
	u.seen[p] = true
	if isDir {
		u.dirs = append(u.dirs, p)
		return nil
	}
	return u.file(p, h, r)
}

// typeGNULabel is the name of an archive, by tar --label: no file.
const typeGNULabel = 'V'

// gnuRules are the rules that entries break which GNU tar alone writes.
var gnuRules = map[byte]string{
	'D': "a folder's list in an incremental archive is refused: without --listed-incremental all files are in the archive",
	'M': "a part of a file is refused: without --multi-volume all of it is in one archive",
}

// rule returns the rule that an entry breaks, or "".
func (u *untar) rule(p string, h *tar.Header) string {
	if rule := gnuRules[h.Typeflag]; rule != "" {
		return rule
	}
	if _, ok := h.PAXRecords["GNU.dumpdir"]; ok { // the same with --format=posix
		return gnuRules['D']
	}
	limits := u.limits
	limits.Depth++ // the folder that all may be in
	switch rule := pathRule(p, limits); {
	case rule != "":
		return rule
	case u.seen[p]:
		return "a path is in an archive once"
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeLink:
		return "a hard link is refused"
	case tar.TypeGNUSparse:
		return "a file with holes is refused"
	default:
		if rule := typeRule(h.FileInfo().Mode().Type()); rule != "" {
			return rule
		}
		return fmt.Sprintf("an entry of type %q is refused", h.Typeflag)
	}
	if h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 && h.Typeflag == tar.TypeReg {
		return "a file with the bit setuid or setgid is refused"
	}
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return "a file with holes is refused"
		}
	}
	return ""
}

func (u *untar) file(p string, h *tar.Header, r io.Reader) error {
	limit := min(u.limits.FileBytes, u.limits.Bytes-u.at)
	n, err := io.Copy(u.spool, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return archiveError(err)
	case n > u.limits.FileBytes:
		return Problems{{p, fmt.Sprintf("a file has at most %d bytes", u.limits.FileBytes)}}
	case n > limit:
		return Problems{{Rule: fmt.Sprintf("the files of a release have at most %d bytes", u.limits.Bytes)}}
	}
	u.files = append(u.files, spooled{leaf{p, n, h.Mode&0o111 != 0}, u.at})
	u.at += n
	return nil
}

// tree returns what was read, without the folder that all of it may be in.
func (u *untar) tree() fs.FS {
	slices.SortFunc(u.files, func(a, b spooled) int { return strings.Compare(a.path, b.path) })
	slices.Sort(u.dirs)
	t := &treeFS{
		count: len(u.files),
		file:  func(i int) leaf { return u.files[i].leaf },
		dirs:  u.dirs,
		open: func(i int) (blob.File, error) {
			f := u.files[i]
			return section{io.NewSectionReader(u.spool, f.at, f.size)}, nil
		},
	}
	list := slices.DeleteFunc(slices.Clone(t.list(".")), func(e fs.DirEntry) bool {
		return !e.IsDir() && unwantedName(e.Name()) != "" // such as ._site, which macOS puts beside site
	})
	if len(list) != 1 || !list[0].IsDir() || list[0].Name() == "public" || list[0].Name() == "config" {
		return t
	}
	top := list[0].Name()
	for _, part := range []string{"public", "config", "release.yaml"} {
		if _, err := t.Stat(top + "/" + part); err == nil {
			sub, err := fs.Sub(t, top)
			if err == nil {
				return sub
			}
		}
	}
	return t
}

// section is a file in the spool.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }
