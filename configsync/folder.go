package configsync

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Files are the files of a revision, from path to text. The paths are relative and have slashes:
// nodes/n1/site.yaml.
type Files map[string]string

// ReadFolder returns the files of a folder. Those whose names begin with a dot or end with ~ are left out.
//
// Errors: those of reading; Problems, if there are more files or bytes than a revision can have, or what is
// no file.
func ReadFolder(folder fs.FS) (Files, error) { return readFolder(folder, false) }

// readFolder is ReadFolder. Links to files are read if they are to be followed, as where Kubernetes mounts a
// ConfigMap.
func readFolder(folder fs.FS, follow bool) (Files, error) {
	files, size := Files{}, 0
	err := fs.WalkDir(folder, ".", func(path string, e fs.DirEntry, err error) error {
		hidden := path != "." && (strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), "~"))
		switch {
		case err != nil:
			return err
		case hidden && e.IsDir():
			return fs.SkipDir
		case hidden || e.IsDir():
			return nil
		case !e.Type().IsRegular() && !(follow && linksToFile(folder, path)):
			return Problems{{File: path, Text: "is no regular file"}}
		case len(files) == state.MaxFiles:
			return Problems{{File: path, Text: fmt.Sprintf("is one file too many: %d are possible", state.MaxFiles)}}
		}
		info, err := fs.Stat(folder, path)
		if err != nil {
			return err
		}
		if size += int(min(info.Size(), state.MaxBytes+1)); size > state.MaxBytes {
			return Problems{{File: path, Text: fmt.Sprintf("makes more than %d bytes of all files", state.MaxBytes)}}
		}
		b, err := fs.ReadFile(folder, path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return files, nil
}

// linksToFile reports whether a link leads to a file.
func linksToFile(folder fs.FS, path string) bool {
	info, err := fs.Stat(folder, path)
	return err == nil && info.Mode().IsRegular()
}
