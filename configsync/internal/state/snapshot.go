package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A snapshot is
//
//	format (1 byte), length of the body (4 bytes), body, CRC-32C of all that (4 bytes)
//
// with those numbers little endian; and the body, with numbers as uvarints and strings after their length,
//
//	numbers of the newest revision, release and rollout
//	number of texts, and the texts that revisions have, each once, in ascending order
//	number of revisions, and for each, in ascending order: its number,
//	the number of files, and for each its path and its text's place above
//	number of releases, and for each, in ascending order: number, revision, content, needs, publisher,
//	who, why, key, index, time, whether it was tried, why it was rejected, whether it is of a dry run
//	number of epochs, and for each, in ascending order: number, release, rollout, index, time, who, why,
//	whether it failed
//	number of rollouts, and for each, in ascending order: number, release, epochs before and after, phase,
//	plan, who, why, key, index, begun, switched, ended, ready nodes, unconfirmed nodes, by, reason
//	of the canary: rollout, release, nodes
//	credentials
//
// and in format 2, which is written from the first canary for a share of the clients on, behind that:
//
//	turn, percent of the canary
//	number of rollouts that are for such a share, and for each, in ascending order: number, percent
//
// and in format 3, which is written as long as a Strict rollout is kept, behind that:
//
//	number of rollouts that are Strict, and for each, in ascending order: number, for how long requests are held at
//	most in ms, frozen
//
// with times in ms since 1970, and what commands have as they have it. A time that may not have come is 0, or
// one more than the time.
const (
	formatFirst  = 1
	formatShares = 2
	formatStrict = 3

	headSize    = 1 + 4
	maxTime     = 1 << 50 // ms since 1970
	maxReleases = Kept + 2 + keptUntried
	maxRollout  = 16 + 3*MaxNodes*(MaxNode+2) + 2*MaxWho + MaxWhy + MaxReason + MaxKey + 256
	maxRelease  = MaxBytes + MaxFiles*(MaxPath+16) + MaxWho + MaxWhy + MaxReason + MaxSeal + 1024
	maxBody     = maxReleases*maxRelease + Kept*(MaxWho+MaxReason+128) + (Kept+1)*maxRollout +
		MaxCredentials*maxRecord
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("corrupt")
)

// WriteTo implements io.WriterTo.
func (s *State) WriteTo(w io.Writer) (int64, error) {
	b := s.append(make([]byte, headSize, 4096))
	b[0] = s.format()
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	n, err := w.Write(b)
	return int64(n), err
}

func (s *State) append(b []byte) []byte {
	b = appendNumbers(b, s.revision, s.release, s.rollout)
	b = s.appendRevisions(b)
	b = binary.AppendUvarint(b, uint64(len(s.releases)))
	for _, r := range s.releases {
		b = r.append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		b = e.append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(s.rollouts)))
	for _, r := range s.rollouts {
		b = r.append(b)
	}
	b = appendNodes(appendNumbers(b, s.canary.Rollout, s.canary.Release), s.canary.Nodes)
	b = s.credentials.append(b)
	format := s.format()
	if format >= formatShares {
		b = s.appendShares(b)
	}
	if format >= formatStrict {
		b = s.appendStricts(b)
	}
	return b
}

// format returns the format that a state is written in: the first one, as long as it can be.
func (s *State) format() byte {
	if s.strictEver() {
		return formatStrict
	}
	if s.turn > 0 || slices.ContainsFunc(s.rollouts, forShare) {
		return formatShares
	}
	return formatFirst
}

func forShare(r Rollout) bool { return r.Plan.Percent > 0 }

func (s *State) appendShares(b []byte) []byte {
	b = appendNumbers(b, s.turn, s.canary.Percent)
	n := len(slices.DeleteFunc(slices.Clone(s.rollouts), func(r Rollout) bool { return !forShare(r) }))
	b = binary.AppendUvarint(b, uint64(n))
	for _, r := range s.rollouts {
		if forShare(r) {
			b = appendNumbers(b, r.ID, r.Plan.Percent)
		}
	}
	return b
}

func (s *State) appendRevisions(b []byte) []byte {
	texts := s.texts()
	place := make(map[string]int, len(texts))
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for i, text := range texts {
		place[text] = i
		b = appendString(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(s.revisions)))
	for _, n := range slices.Sorted(maps.Keys(s.revisions)) {
		files := s.revisions[n].files
		b = appendNumbers(b, n, uint64(len(files)))
		for _, f := range files {
			b = binary.AppendUvarint(appendString(b, f.Path), uint64(place[f.Text]))
		}
	}
	return b
}

func (r Release) append(b []byte) []byte {
	b = r.Content.append(appendNumbers(b, r.ID, r.Revision))
	b = binary.AppendUvarint(appendString(b, r.Program), r.Level)
	b = appendStrings(b, r.Publisher, r.Who, r.Why, r.Key)
	b = append(appendNumbers(b, r.Index, uint64(r.Time.UnixMilli())), boolByte(r.Tried))
	b = appendString(b, r.Rejected)
	return append(b, boolByte(r.Dry))
}

func (e Epoch) append(b []byte) []byte {
	b = appendNumbers(b, e.Number, e.Release, e.Rollout, e.Index, uint64(e.Time.UnixMilli()))
	return append(appendStrings(b, e.Who, e.Why), boolByte(e.Failed))
}

func (r Rollout) append(b []byte) []byte {
	b = append(appendNumbers(b, r.ID, r.Release, r.Was, r.Epoch), byte(r.Phase))
	b = appendStrings(r.Plan.append(b), r.Who, r.Why, r.Key)
	b = appendNumbers(b, r.Index, uint64(r.Begun.UnixMilli()))
	for _, t := range []time.Time{r.Switched, r.Ended} {
		b = appendMaybe(b, t)
	}
	return appendStrings(appendNodes(appendNodes(b, r.Ready), r.Unconfirmed), r.By, r.Reason)
}

// appendMaybe appends a time that may not have come.
func appendMaybe(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(t.UnixMilli())+1)
}

func appendNumbers(b []byte, ns ...uint64) []byte {
	for _, n := range ns {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendStrings(b []byte, all ...string) []byte {
	for _, s := range all {
		b = appendString(b, s)
	}
	return b
}

// texts returns the texts of all files, each once, in ascending order.
func (s *State) texts() []string {
	var out []string
	for _, r := range s.revisions {
		for _, f := range r.files {
			out = append(out, f.Text)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func readState(r io.Reader) (*State, error) {
	format, body, err := readBody(r)
	if err == nil {
		s, ok := decodeState(format, body)
		if ok {
			return s, nil
		}
		err = errCorrupt
	}
	return nil, fmt.Errorf("configsync: snapshot: %w", err)
}

func readBody(r io.Reader) (format byte, body []byte, err error) {
	head := make([]byte, headSize)
	if err := readFull(r, head[:1]); err != nil {
		return 0, nil, err
	}
	if format = head[0]; format < formatFirst || format > formatStrict {
		return 0, nil, fmt.Errorf("format %d, but this version of the program reads formats up to %d only: %w", format,
			formatStrict, fault.ErrVersion)
	}
	if err := readFull(r, head[1:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxBody {
		return 0, nil, errCorrupt
	}
	var all bytes.Buffer // which takes memory for what comes, and not for what was said to come
	if _, err := io.CopyN(&all, r, int64(n)+4); err != nil {
		return 0, nil, early(err)
	}
	b := all.Bytes()
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b[:n])
	if sum != binary.LittleEndian.Uint32(b[n:]) {
		return 0, nil, fmt.Errorf("%w: checksum mismatch", errCorrupt)
	}
	return format, b[:n], nil
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return early(err)
}

func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
