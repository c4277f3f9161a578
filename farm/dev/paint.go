package dev

import (
	"os"
	"runtime"
)

// Terminal reports whether f is a terminal, or another device for characters.
func Terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Paint colours text, or leaves it as it is.
type Paint bool

// PaintFor returns whether what is written to f is to have colours: where it is a terminal that can show them, unless NO_COLOR
// (no-color.org) is set.
func PaintFor(f *os.File) Paint {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !Terminal(f) {
		return false
	}
	// Older consoles of Windows print what stands for a colour; those that set one of these do not.
	return runtime.GOOS != "windows" || os.Getenv("WT_SESSION")+os.Getenv("TERM") != ""
}

func (p Paint) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p Paint) strong(s string) string { return p.wrap("1", s) }
func (p Paint) good(s string) string   { return p.wrap("1;32", s) }
func (p Paint) bad(s string) string    { return p.wrap("1;31", s) }
func (p Paint) link(s string) string   { return p.wrap("4;36", s) }
func (p Paint) faint(s string) string  { return p.wrap("2", s) }
