// Package filemark tells whether a file is as it was when it was looked at before, without reading it.
package filemark

import (
	"io/fs"
	"time"
)

// Mark is how a file looked. Two that are equal are of a file that nobody has written to in between, as far as the
// system tells. It is compared by ==.
type Mark struct {
	size     int64 // 0 of a folder, whose size says nothing
	modified time.Time
	mode     fs.FileMode
	changed  change
}

// change is what no program sets as it likes, unlike the time of the last modification, which cp -p, rsync -t and tar
// keep: when the system itself has noted the last change, and which file it is. It is zero where the system does not
// say.
type change struct {
	sec, nsec int64
	inode     uint64
}

// Sure reports whether a Mark here tells every change, so that one that keeps size and time is seen as well.
const Sure = sure

// Of returns the mark of a file. info may be of a file system that says less than the system's own.
func Of(info fs.FileInfo) Mark {
	m := Mark{modified: info.ModTime().Round(0).UTC(), mode: info.Mode(), changed: changeOf(info)}
	if !info.IsDir() {
		m.size = info.Size()
	}
	return m
}
