// Package stdlog gives the standard library's log package back to the program.
//
// raft-wal imports github.com/coreos/pkg/capnslog by way of etcd's fileutil, and capnslog, as soon as it is
// linked, takes the log package over: it sends what the program logs to a writer of its own, in its own
// format, and to journald, whatever standard error is, when the process was started by init. That is not for
// a library to decide.
//
// This package imports so little that it is initialized before capnslog, and so it knows how things were.
package stdlog

import (
	"io"
	"log"
	"os"
	"reflect"
)

type setup struct {
	out    io.Writer
	flags  int
	prefix string
}

var before = current()

func current() setup { return setup{out: log.Writer(), flags: log.Flags(), prefix: log.Prefix()} }

// Restore undoes what capnslog did to package log, unless somebody has set another writer since. The package
// that brings capnslog into the program calls it when it is initialized.
func Restore() {
	if !taken(log.Writer()) {
		return
	}
	s := before
	if taken(s.out) {
		s = setup{out: os.Stderr, flags: log.LstdFlags}
	}
	log.SetOutput(s.out)
	log.SetFlags(s.flags)
	log.SetPrefix(s.prefix)
}

// taken reports whether w is the writer that capnslog puts into package log. Its type has no name outside of
// capnslog.
func taken(w io.Writer) bool {
	t := reflect.TypeOf(w)
	return t != nil && t.PkgPath() == "github.com/coreos/pkg/capnslog"
}
