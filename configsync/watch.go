package configsync

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// watchEvery is how often files are looked at in development.
const watchEvery = 300 * time.Millisecond

// watched is a file or a folder that is used as if it had been put into a log.
type watched struct {
	reading   *reading
	switching *switching
	path      string
	machine   *Machine
	index     uint64
	said      string // the last problem, which is said once
}

func newWatched(r *reading, sw *switching, path string) *watched {
	return &watched{reading: r, switching: sw, path: path, machine: state.NewMachine(nil)}
}

func (w *watched) local() *Machine { return w.machine }

// files returns what there is. Errors say file names as they are on this machine.
func (w *watched) files() (Files, error) {
	info, err := os.Stat(w.path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return readFolder(os.DirFS(w.path), true)
	}
	f, err := os.Open(w.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, state.MaxBytes+1))
	return Files{filepath.Base(w.path): string(b)}, err
}

// read uses what there is now, if it has changed and is right.
func (w *watched) read() error {
	files, err := w.files()
	if err != nil {
		return err
	}
	s := w.machine.State()
	old := filesOf(s, s.Current().Revision)
	if maps.Equal(old, files) && s.Current().Number > 0 {
		return nil
	}
	rd, all := w.reading, func(string) bool { return true }
	if err := check(rd.declared, files, rd.opener(), rd.roles(), all); err != nil {
		return err
	}
	now := s.Current().Number
	cmd := state.Propose{Write: state.Write{Epoch: now, Who: w.path, Why: "the file has changed"}, Keep: true}
	cmd.Changes = old.to(files).changes()
	if err := w.apply(cmd.Append(nil)); err != nil {
		return err
	}
	r, ok := w.machine.State().InProgress()
	if !ok {
		return nil
	}
	return w.apply(state.Activate{Rollout: r.ID}.Append(nil))
}

func (w *watched) apply(cmd []byte) error {
	w.index++
	a, err := state.DecodeAnswer(w.machine.Apply(w.index, time.Now(), cmd))
	if err == nil {
		err = outcome(a)
	}
	return err
}

// run looks until the Manager is closed. What is wrong is said once, and changes nothing.
func (w *watched) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.reading.ctx.Done():
			return
		}
		err := w.read()
		if errors.Is(err, fs.ErrNotExist) { // editors take a file away before they write it anew
			continue
		}
		w.say(err)
		w.switching.refresh()
	}
}

func (w *watched) say(err error) {
	text := ""
	if err != nil {
		text = fmt.Sprint(err)
	}
	if text != "" && text != w.said {
		w.reading.log.Error("the configuration stays as it was, because the new one is wrong", "path", w.path, "err",
			text)
	}
	w.said = text
}
