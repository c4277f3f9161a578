package farm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/filemark"
)

const (
	watchEvery = time.Second      // how often the folder of a staging node is looked at
	watchQuiet = 2 * time.Second  // for which nothing must change in it before it is taken for whole
	watchAgain = 10 * time.Second // after which it is dealt with again, if that may go better then

	// watchWhole is after how long all files are read where the system does not tell every change of a file.
	watchWhole = 10 * time.Minute
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
	read  time.Time // when it was
	later bool      // it was dealt with before, since this node was started

	again    time.Time // before which it is not dealt with again after failed
	failed   error     // of the last time it was dealt with; nil = none
	failedIn uint64    // the epoch in force after that

	shown   *siteRead // the draft; nil = none
	settled bool      // nothing is left to do about it: it is published, or is not to be
	made    time.Time // when it was shown; zero = never
	epoch   uint64    // in force then
}

// seenFile is what tells that a file has changed.
type seenFile struct {
	path string
	mark filemark.Mark
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
		err := w.look(time.Now())
		f.draft.Store(w.draft(err))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != said && f.done.Err() == nil {
			f.log.Error("the folder of the site is not shown, or not published, as it is", "folder", f.cfg.WatchSite,
				"err", text)
		}
		said = text
	}
}

// draft is how this node stands to the folder, for operators; err is of the last look at it.
func (w *siteWatch) draft(err error) *order.Draft {
	d := &order.Draft{Folder: w.f.cfg.WatchSite, Shown: w.made}
	if err = cmp.Or(err, w.failed); err != nil {
		d.Problem, d.Again = plainly(err), passes(err)
	}
	return d
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
		w.seen, w.since, w.again = files, now, time.Time{}
		return nil
	}
	switch {
	case now.Sub(w.since) < watchQuiet:
		return nil
	case w.dealt && slices.Equal(files, w.done) && !w.mayBeMended() && (filemark.Sure || now.Sub(w.read) < watchWhole):
		return w.follow()
	case now.Before(w.again):
		return w.failed
	}
	w.done, w.dealt, w.read = files, true, now
	err = w.deal(root.FS(), files)
	w.failedIn = w.f.configs.Status().Epoch
	if w.failed = err; err != nil && passes(err) {
		w.dealt, w.again = false, now.Add(watchAgain)
		return err
	}
	w.later = true
	return err
}

// errPublishing says that the folder is shown, and could not be published.
var errPublishing = errors.New("publishing")

// mayBeMended reports whether what was wrong with the folder may not be any more, although the folder is as it was:
// another epoch is in force. What could not be published is not published for that: nobody has touched the folder,
// and it may be older by now than what somebody else has published. It is wrong until what is in force is what the
// folder has.
func (w *siteWatch) mayBeMended() bool {
	now := w.f.configs.Status().Epoch
	if w.failed == nil || w.failedIn == now {
		return false
	}
	w.failedIn = now
	if !errors.Is(w.failed, errPublishing) {
		return true
	}
	if epoch, was := w.f.wasInForce(*w.shown); was && epoch == now {
		w.failed, w.settled = nil, true
	}
	return false
}

// passes reports whether something may go better another time, with the same folder.
func passes(err error) bool {
	if _, reading := errors.AsType[*fs.PathError](err); reading { // who may read it does not show in a file's mode
		return true
	}
	return slices.ContainsFunc([]error{configsync.ErrBusy, configsync.ErrConflict, configsync.ErrUncertain,
		configsync.ErrUnavailable, configsync.ErrManyCredentials, cluster.ErrNoLeader, cluster.ErrOverloaded, cluster.ErrLevel,
		keyring.ErrNotYet, blob.ErrNoRoom, content.ErrChanged, context.DeadlineExceeded},
		func(known error) bool { return errors.Is(err, known) })
}

// deal shows the folder, and publishes it if that is wanted: what is shown, and not what is in it by then. A folder
// whose files were touched and say the same is not published again: the farm may have gone back from it meanwhile.
func (w *siteWatch) deal(site fs.FS, files []seenFile) error {
	var before *content.Manifest // the store has all of it, since it is shown
	if w.shown != nil {
		before = w.shown.m
	}
	s, err := w.f.readSite(w.f.done, site, before, nil)
	if err != nil {
		return err
	}
	if again, err := survey(site); err != nil || !slices.Equal(again, files) {
		w.dealt = false // it was changed while it was read
		return nil
	}
	if w.settled && w.shown.sameAs(&s) {
		return w.follow()
	}
	w.settled = false
	if err := w.show(&s); err != nil {
		return err
	}
	if err := w.publish(s, len(files)); err != nil {
		return err
	}
	w.settled = true
	return nil
}

// publish publishes what is shown, if that is wanted.
func (w *siteWatch) publish(s siteRead, files int) error {
	if !w.f.cfg.WatchPublish {
		w.f.log.Info("the folder of the site has changed: farmctl preview draft has a link to it", "files", files)
		return nil
	}
	if epoch, was := w.f.wasInForce(s); was && !w.later { // somebody may have gone back from it meanwhile
		w.f.log.Info("the folder of the site is as it was in force before this node was started, and is published when it "+
			"changes", "epoch", epoch)
		return nil
	}
	res, err := w.f.publishRead(w.f.done, s, Publication{})
	if err != nil {
		return fmt.Errorf("%w: %w", errPublishing, err)
	}
	w.f.log.Info("the folder of the site is published", "epoch", res.Epoch, "release", res.Release)
	return nil
}

// show makes what was read the draft.
func (w *siteWatch) show(s *siteRead) error {
	epoch := w.f.configs.Status().Epoch
	if err := w.f.configs.Draft(w.f.done, s.config, s.m); err != nil {
		return err
	}
	w.shown, w.made, w.epoch = s, time.Now(), epoch
	return nil
}

// follow has the draft go on from what is in force: what the folder lacks is of that.
func (w *siteWatch) follow() error {
	if w.shown == nil || w.epoch == w.f.configs.Status().Epoch {
		return nil
	}
	return w.show(w.shown)
}

// wasInForce returns the last epoch, of those that are kept, with what a folder has.
func (f *Farm) wasInForce(s siteRead) (epoch uint64, was bool) {
	releases := map[uint64]configsync.Release{}
	for _, r := range f.configs.Releases() {
		releases[r.ID] = r
	}
	for _, e := range slices.Backward(f.configs.Epochs()) {
		files, _, err := f.configs.Files(e.Number)
		of := releases[e.Release].Content
		if err == nil && (s.config == nil || maps.Equal(files, s.config)) &&
			(s.m == nil || of.Root == s.m.Root() || of.Source == s.m.Source()) {
			return e.Number, true
		}
	}
	return 0, false
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
		out = append(out, seenFile{path, filemark.Of(info)})
		return nil
	})
	return out, err
}
