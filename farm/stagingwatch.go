package farm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/internal/sitefolder"
)

const (
	watchEvery = time.Second     // how often the folder of a staging node is looked at
	watchQuiet = 2 * time.Second // for which nothing must change in it before it is taken for whole
)

// validateWatch complains about a watched folder where none is.
func (c Config) validateWatch() error {
	switch {
	case c.WatchSite == "" && c.WatchPublish:
		return errors.New("Config.WatchPublish is set, and there is no Config.WatchSite to publish")
	case c.WatchSite != "" && c.Role != cluster.Staging:
		return errors.New("Config.WatchSite is for a node with the role staging: start it with -role staging")
	}
	return nil
}

// siteWatch looks after the folder of a staging node.
type siteWatch struct {
	f     *Farm
	seen  []seenFile // when it was looked at last
	since time.Time  // since when it is like that
	done  []seenFile // that was dealt with last
	dealt bool
}

// seenFile is what tells that a file has changed.
type seenFile struct {
	path string
	size int64
	time time.Time
	mode fs.FileMode
}

// watchSite shows the folder to whoever has a token of this node's, and publishes it if that is wanted, whenever it has
// changed and is quiet. What is wrong is said, and does not end it.
func (f *Farm) watchSite() {
	w := &siteWatch{f: f}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-f.done.Done():
			return
		}
		if !closed(f.admitted) {
			continue
		}
		text := ""
		if err := w.look(time.Now()); err != nil {
			text = err.Error()
		}
		if text != "" && text != said && f.done.Err() == nil {
			f.log.Error("the folder of the site is not shown, or not published, as it is", "folder", f.cfg.WatchSite,
				"err", text)
		}
		said = text
	}
}

// look deals with the folder if it is another than before, and has not changed for a while. An error that may go away by
// itself has it dealt with again.
func (w *siteWatch) look(now time.Time) error {
	root, err := os.OpenRoot(w.f.cfg.WatchSite)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := survey(root.FS())
	if err != nil {
		w.seen = nil // somebody is at work in it
		return nil
	}
	if w.seen == nil || !slices.Equal(files, w.seen) {
		w.seen, w.since = files, now
		return nil
	}
	if now.Sub(w.since) < watchQuiet || w.dealt && slices.Equal(files, w.done) {
		return nil
	}
	w.done, w.dealt = files, true
	return w.deal(root.FS(), files)
}

// deal shows the folder, and publishes it if that is wanted.
func (w *siteWatch) deal(site fs.FS, files []seenFile) error {
	config, err := sitefolder.Config(site)
	if err != nil {
		return err
	}
	m, err := w.f.pack(w.f.done, site, nil)
	if err != nil {
		return err
	}
	if again, err := survey(site); err != nil || !slices.Equal(again, files) {
		w.dealt = false // it was changed while it was read
		return nil
	}
	if err := w.f.configs.Draft(w.f.done, config, m); err != nil {
		return err
	}
	if !w.f.cfg.WatchPublish {
		w.f.log.Info("the folder of the site has changed: farmctl preview draft has a link to it", "files", len(files))
		return nil
	}
	res, err := w.f.Publish(w.f.done, site, Publication{})
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	w.f.log.Info("the folder of the site is published", "epoch", res.Epoch, "release", res.Release)
	return nil
}

// survey returns all files of a folder, sorted.
func survey(site fs.FS) (out []seenFile, err error) {
	err = fs.WalkDir(site, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := seenFile{path: path, mode: info.Mode(), time: info.ModTime()}
		if !d.IsDir() {
			s.size = info.Size()
		}
		out = append(out, s)
		return nil
	})
	return out, err
}
