package configsync

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// olderVersion reports whether a version is older than the one that is needed; "" needs none. Versions are
// numbers with dots, perhaps with a v before them; what follows a - makes it older than without, what follows
// a + does not matter.
func olderVersion(has, needs string) (bool, error) {
	if needs == "" {
		return false, nil
	}
	h, err := parseVersion(has)
	if err != nil {
		return false, err
	}
	n, err := parseVersion(needs)
	if err != nil {
		return false, err
	}
	return h.compare(n) < 0, nil
}

// CheckProgram returns nil if a program of version has can use a release that needs version needs, or a newer one; else
// why not. A needs of "" needs none.
func CheckProgram(has, needs string) error {
	older, err := olderVersion(has, needs)
	switch {
	case err != nil:
		return fmt.Errorf("the release needs version %s of the program, and this one's cannot be told "+
			"(Config.Cluster.Version): %w", needs, err)
	case older:
		return fmt.Errorf("the release needs version %s of the program; this is %s: update it first", needs, has)
	}
	return nil
}

type version struct {
	numbers []uint64
	before  string // 1.0.0-rc1: rc1; "" = none
}

func parseVersion(s string) (v version, err error) {
	text, _, _ := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	text, v.before, _ = strings.Cut(text, "-")
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return v, fmt.Errorf("%q is no version such as 1.4.0", s)
		}
		v.numbers = append(v.numbers, n)
	}
	return v, nil
}

func (v version) compare(o version) int {
	for i := range max(len(v.numbers), len(o.numbers)) {
		if c := cmp.Compare(v.number(i), o.number(i)); c != 0 {
			return c
		}
	}
	switch {
	case v.before == o.before:
		return 0
	case v.before == "":
		return 1
	case o.before == "":
		return -1
	}
	return comparePre(strings.Split(v.before, "."), strings.Split(o.before, "."))
}

func (v version) number(i int) uint64 {
	if i < len(v.numbers) {
		return v.numbers[i]
	}
	return 0
}

// comparePre compares what follows a -, as semantic versions do.
func comparePre(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, errX := strconv.ParseUint(a[i], 10, 64)
		y, errY := strconv.ParseUint(b[i], 10, 64)
		c := 0
		switch {
		case errX == nil && errY == nil:
			c = cmp.Compare(x, y)
		case errX == nil:
			c = -1
		case errY == nil:
			c = 1
		default:
			c = cmp.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
