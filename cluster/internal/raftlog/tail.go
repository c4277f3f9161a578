package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
)

// raft-wal finds the end of its newest file by reading on until something does not fit, and takes that for a
// write that was cut short. A changed byte looks the same to it: what was appended, and acknowledged, after
// that byte would be gone without a word. So the file is looked at before raft-wal opens it. The end is a
// torn write only if nothing whole comes after it, and if a sector of it was not written. That is cleared
// then, so that what is behind the end is always zero.
//
// The file is a header of 32 bytes and frames: kind (byte), 0 0 0, length or checksum (uint32, little
// endian), as many bytes as the length, and zeros up to a multiple of 8. An append ends with a frame of kind
// 3, whose checksum is CRC-32C of all since the append before; the first counts the header.
const (
	segmentHeader = 32
	frameHeader   = 8
	maxEntry      = 64 << 20
	sector        = 512 // bytes that a disk writes as a whole, at least

	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

var errTail = errors.New("what was appended there is not what was written")

// checkTail looks at the newest segment in dir. The error is a *CorruptError if it is damaged.
func checkTail(dir string) error {
	path, err := newestSegment(dir)
	if err != nil || path == "" {
		return err
	}
	if err := checkWhole(path); err != nil {
		return err
	}
	b, err := written(path)
	if err != nil {
		return err
	}
	end, entries := wholeAppends(b)
	rest := len(b)
	if rest <= end {
		return nil
	}
	if appendWithin(b[end:rest]) || !torn(b, end, rest) {
		var first uint64
		fmt.Sscanf(filepath.Base(path), "%d-", &first)
		return &CorruptError{File: path, Index: first + entries, Err: errTail}
	}
	return clearFile(path, end, rest)
}

// intactSegments reports whether the checksums of all appends in all of dir's files are right, so that every
// entry is what was written. It reads them as they lie on the disk, which takes a hundredth of the time that
// reading entry by entry does.
func intactSegments(dir string) bool {
	found, err := os.ReadDir(dir)
	for _, e := range found {
		if err != nil || filepath.Ext(e.Name()) != ".wal" {
			continue
		}
		var b []byte
		if b, err = written(filepath.Join(dir, e.Name())); err == nil {
			if end, _ := wholeAppends(b); end < len(b) {
				return false
			}
		}
	}
	return err == nil
}

// newestSegment returns the file with the highest number, FIRST-NUMBER.wal; "" if there is none.
func newestSegment(dir string) (path string, err error) {
	found, err := os.ReadDir(dir)
	highest := ""
	for _, e := range found {
		name, segment := strings.CutSuffix(e.Name(), ".wal")
		// all equally long
		if _, number, ok := strings.Cut(name, "-"); segment && ok && (path == "" || number > highest) {
			path, highest = filepath.Join(dir, e.Name()), number
		}
	}
	return path, err
}

// wholeAppends returns where the appends end whose checksums are right, and how many entries they have.
func wholeAppends(b []byte) (end int, entries uint64) {
	begin, seen := 0, uint64(0)
	for at := segmentHeader; at+frameHeader <= len(b); {
		length := 0
		switch n := binary.LittleEndian.Uint32(b[at+4:]); b[at] {
		case frameEntry:
			seen++
			length = int(n)
		case frameIndex:
			length = int(n)
		case frameCommit:
			if crc32.Checksum(b[begin:at], castagnoli) != n {
				return end, entries
			}
			begin = at + frameHeader
			end, entries = begin, seen
		default:
			return end, entries
		}
		at += frameHeader + (length+7)/8*8
	}
	return end, entries
}

func lastNonZero(b []byte) (end int) {
	for end = len(b); end > 0 && b[end-1] == 0; end-- {
	}
	return (end + 7) / 8 * 8 // frames begin at multiples of 8
}

// commits reports whether b begins as a frame does that ends an append.
func commits(b []byte) bool { return binary.LittleEndian.Uint32(b) == frameCommit }

// committed reports whether b begins like that but for one bit. An entry or an index differs in one bit as
// well, but has a length, and a checksum is hardly ever as small as that.
func committed(b []byte) bool {
	kind := binary.LittleEndian.Uint32(b)
	if kind == frameEntry || kind == frameIndex {
		return binary.LittleEndian.Uint32(b[4:]) > maxEntry
	}
	return bits.OnesCount32(kind^frameCommit) <= 1
}

// appendWithin reports whether b, which begins with damage, has a whole append after that.
func appendWithin(b []byte) bool {
	const ends = 8 // frames to look at, for what a payload holds may look like the end of an append
	for at := 0; at+frameHeader <= len(b); at += 8 {
		if !commits(b[at:]) {
			continue
		}
		begin, sum := at+frameHeader, uint32(0)
		for next, seen := begin, 0; next+frameHeader <= len(b) && seen < ends; next += 8 {
			if commits(b[next:]) {
				if seen++; next > begin && sum == binary.LittleEndian.Uint32(b[next+4:]) {
					return true
				}
			}
			sum = crc32.Update(sum, castagnoli, b[next:next+8])
		}
	}
	return false
}

// torn reports whether the append in b[from:to], whose checksum is wrong, may have been cut short: its end is
// missing, or a sector of it.
func torn(b []byte, from, to int) bool {
	if !committed(b[to-frameHeader:]) {
		return true
	}
	for at := from; at < to; {
		next := min((at/sector+1)*sector, to)
		if lastNonZero(b[at:next]) == 0 {
			return true
		}
		at = next
	}
	return false
}

// clearFile puts zeros in the place of a part of a file.
func clearFile(path string, from, to int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, to-from), int64(from))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
