// Package sitefolder reads what of a site folder is no content: config/ and release.yaml.
package sitefolder

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// ReleaseFile says what a release is, in a site's folder.
const ReleaseFile = "release.yaml"

// About is what can stand there.
type About struct {
	Program string `json:"program"` // the version of the program that it takes, at least
	Note    string `json:"note"`
}

// Release declares that file, to check it.
var Release = configsync.NewConfig("release", About{})

// Config returns the files of config; nil if there is no such folder. What is wrong with them is a
// configsync.Problems.
func Config(site fs.FS) (configsync.Files, error) {
	st, err := fs.Stat(site, "config")
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	folder, err := fs.Sub(site, "config")
	if err != nil {
		return nil, err
	}
	files, err := configsync.ReadFolder(folder)
	if err == nil && files == nil {
		files = configsync.Files{}
	}
	return files, err
}

// ReadAbout returns what release.yaml says; nothing, if there is none. What is wrong with it is a
// configsync.Problems.
func ReadAbout(site fs.FS) (a About, err error) {
	b, err := fs.ReadFile(site, ReleaseFile)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	dir, err := tempdir.Make("webfarm-release")
	if err != nil {
		return a, err
	}
	defer dir.Remove()
	path := filepath.Join(dir.Path(), ReleaseFile)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return a, err
	}
	m, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{Release}, Path: path,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return a, err
	}
	defer m.Close()
	return *Release.Load(m.Context(context.Background())), nil
}
