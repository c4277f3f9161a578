package tree

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Path is the way to a value: names of fields, and keys of maps.
type Path []string

// String returns the path as it is written: names with dots between them, in quotes where they hold anything
// but letters, digits, - and _.
func (p Path) String() string {
	var b strings.Builder
	for i, name := range p {
		if strings.HasPrefix(name, indexMark) {
			b.WriteString("[" + name[1:] + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		if plainName(name) {
			b.WriteString(name)
		} else {
			b.WriteString(strconv.Quote(name))
		}
	}
	return b.String()
}

// With returns the path to a field of what p leads to.
func (p Path) With(name string) Path { return append(slices.Clip(p), name) }

// indexMark begins what stands for a place in a list. No name holds it.
const indexMark = "\x00"

// Index returns the path to an item of the list that p leads to. It is for messages alone.
func (p Path) Index(i int) Path { return p.With(indexMark + strconv.Itoa(i)) }

func plainName(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && c != '-' && c != '_' && (c < '0' || c > '9') && c < 0x80 {
			return false
		}
	}
	return s != ""
}

// ParsePath reads what String writes.
func ParsePath(s string) (Path, error) {
	var p Path
	for rest := s; ; {
		name, after, err := cutName(rest)
		if err != nil {
			return nil, fmt.Errorf("%q is no path to a field, such as limits.max or prices.\"green tea\": %w", s, err)
		}
		p = append(p, name)
		if after == "" {
			return p, nil
		}
		rest = after[1:]
	}
}

// cutName returns the first name of a path and what comes after it, which is empty or begins with a dot.
func cutName(s string) (name, after string, err error) {
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", "", errors.New("a quote is not closed")
		}
		name, _ = strconv.Unquote(quoted)
		if after = s[len(quoted):]; after != "" && after[0] != '.' {
			return "", "", errors.New("after a name in quotes comes a dot")
		}
		return name, after, nil
	}
	end := strings.IndexByte(s, '.')
	if end < 0 {
		end = len(s)
	}
	name, after = s[:end], s[end:]
	if !plainName(name) {
		return "", "", fmt.Errorf("%q has to be in quotes", name)
	}
	return name, after, nil
}

// Nearest returns the name that somebody may have meant by an unknown one; "" if none is near.
func Nearest(unknown string, names []string) string {
	best, least := "", max(1, len([]rune(unknown))/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(unknown), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters have to be put in, taken out, replaced or swapped with their neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return math.MaxInt // who means something writes something shorter
	}
	before, last, now := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		now[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(y)]
}
