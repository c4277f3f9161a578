package content

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// NewFS returns a release as an fs.FS, for templates and whatever else a program reads: also what is not
// served. Its files are an io.Seeker and an io.ReaderAt besides; they have no time of modification. It has
// ReadFile, ReadDir and Stat, and making it costs nothing.
func NewFS(m *Manifest, blobs Blobs) fs.FS {
	return &treeFS{
		count: len(m.Files),
		file: func(i int) leaf {
			f := &m.Files[i]
			return leaf{f.Path, f.Size, f.Exec}
		},
		dirs: m.Dirs,
		open: func(i int) (blob.File, error) {
			f := &m.Files[i]
			return open(blobs, f.Hash, f.Size, f.Chunks)
		},
	}
}

var (
	errFolder   = errors.New("it is a folder")
	errNoFolder = errors.New("it is no folder")
)

// treeFS is a file system of files and empty folders which are sorted by their paths: the files of a folder
// follow each other.
type treeFS struct {
	count int
	file  func(i int) leaf
	dirs  []string
	open  func(i int) (blob.File, error)
}

type leaf struct {
	path string
	size int64
	exec bool
}

func (t *treeFS) Open(name string) (fs.File, error) {
	i, info, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if info.dir {
		return &openDir{info: info, list: func() []fs.DirEntry { return t.list(name) }}, nil
	}
	f, err := t.open(i)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{f, info}, nil
}

// Stat implements fs.StatFS.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) {
	_, info, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	_, info, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !info.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNoFolder}
	}
	return t.list(name), nil
}

// ReadFile implements fs.ReadFileFS.
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	o, ok := f.(*openFile)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errFolder}
	}
	b := make([]byte, o.info.size)
	if _, err := io.ReadFull(o.File, b); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return b, nil
}

// find returns the index of a file, or what a folder is.
func (t *treeFS) find(op, name string) (int, *info, error) {
	if !fs.ValidPath(name) {
		return 0, nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	i := t.search(name)
	if i < t.count {
		if f := t.file(i); f.path == name {
			return i, &info{name: path.Base(name), size: f.size, exec: f.exec}, nil
		}
	}
	if name == "." || t.has(name) {
		return 0, &info{name: path.Base(name), dir: true}, nil
	}
	return 0, nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// search returns the index of the first file whose path is not before p.
func (t *treeFS) search(p string) int {
	low, high := 0, t.count
	for low < high {
		mid := (low + high) / 2
		if t.file(mid).path < p {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// has reports whether name is a folder.
func (t *treeFS) has(name string) bool {
	if _, empty := slices.BinarySearch(t.dirs, name); empty {
		return true
	}
	below := name + "/"
	if i := t.search(below); i < t.count && strings.HasPrefix(t.file(i).path, below) {
		return true
	}
	i, _ := slices.BinarySearch(t.dirs, below)
	return i < len(t.dirs) && strings.HasPrefix(t.dirs[i], below)
}

// list returns what is in a folder, sorted by name.
func (t *treeFS) list(name string) []fs.DirEntry {
	below := name + "/"
	if name == "." {
		below = ""
	}
	found := make(map[string]*info)
	for i := t.search(below); i < t.count; {
		f := t.file(i)
		rest, ok := strings.CutPrefix(f.path, below)
		if !ok {
			break
		}
		child, _, isDir := strings.Cut(rest, "/")
		if isDir {
			found[child] = &info{name: child, dir: true}
			i = t.search(below + child + "0") // the character behind the slash
			continue
		}
		found[child] = &info{name: child, size: f.size, exec: f.exec}
		i++
	}
	for i, _ := slices.BinarySearch(t.dirs, below); i < len(t.dirs); i++ {
		rest, ok := strings.CutPrefix(t.dirs[i], below)
		if !ok {
			break
		}
		child, _, _ := strings.Cut(rest, "/")
		found[child] = &info{name: child, dir: true}
	}
	list := make([]fs.DirEntry, 0, len(found))
	for _, e := range found {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

// info is what a file or a folder is, as an fs.FileInfo and an fs.DirEntry.
type info struct {
	name string
	size int64
	exec bool
	dir  bool
}

func (i *info) Name() string               { return i.name }
func (i *info) Size() int64                { return i.size }
func (i *info) ModTime() time.Time         { return time.Time{} }
func (i *info) IsDir() bool                { return i.dir }
func (i *info) Sys() any                   { return nil }
func (i *info) Type() fs.FileMode          { return i.Mode().Type() }
func (i *info) Info() (fs.FileInfo, error) { return i, nil }
func (i *info) String() string             { return fs.FormatFileInfo(i) }

func (i *info) Mode() fs.FileMode {
	switch {
	case i.dir:
		return fs.ModeDir | 0o555
	case i.exec:
		return 0o555
	}
	return 0o444
}

type openFile struct {
	blob.File
	info *info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// openDir is an open folder.
type openDir struct {
	info *info
	list func() []fs.DirEntry
	rest []fs.DirEntry
	read bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errFolder}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		d.rest, d.read = d.list(), true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
