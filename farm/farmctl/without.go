package farmctl

import (
	"io/fs"
	"path"
	"slices"
)

// without is a folder in which some files and folders cannot be seen.
type without struct {
	all    fs.FS
	hidden map[string]bool // by path
}

func (w without) hides(name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if w.hidden[name] {
			return true
		}
	}
	return false
}

// Open implements fs.FS.
func (w without) Open(name string) (fs.File, error) {
	if fs.ValidPath(name) && w.hides(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := w.all.Open(name)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.IsDir() {
		return f, err
	}
	if dir, ok := f.(fs.ReadDirFile); ok {
		return withoutDir{dir, w, name}, nil
	}
	return f, nil
}

// withoutDir is a folder of it that is open.
type withoutDir struct {
	fs.ReadDirFile
	of   without
	name string
}

// ReadDir implements fs.ReadDirFile.
func (d withoutDir) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		all, err := d.ReadDirFile.ReadDir(n)
		read := len(all)
		all = slices.DeleteFunc(all, func(e fs.DirEntry) bool { return d.of.hides(path.Join(d.name, e.Name())) })
		if n <= 0 || err != nil || read == 0 || len(all) > 0 {
			return all, err
		}
	}
}
