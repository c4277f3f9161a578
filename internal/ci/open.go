package ci

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// openNow returns how many descriptors this process has of each kind: "socket", "pipe", an anonymous kind of the
// system's such as "anon_inode:[eventfd]", or the path of a file. told = the system tells (Linux).
//
// What is kept by intent is not counted: the poller of the network, which the Go runtime opens when it needs one, and
// claims of ports.
func openNow() (kinds map[string]int, told bool) {
	const dir = "/proc/self/fd"
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, false
	}
	kinds = make(map[string]int)
	for _, e := range all {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil { // that of the reading itself
			continue
		}
		if kind := kindOf(to); kind != "" {
			kinds[kind]++
		}
	}
	kinds["socket"] -= freeport.Held()
	return kinds, true
}

// kindOf returns the kind of a descriptor by what the system says it leads to; "" = it is not counted.
func kindOf(to string) string {
	switch to {
	case "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
		return ""
	}
	if kind, _, ok := strings.Cut(to, ":["); ok && kind != "anon_inode" {
		return kind // the number of a socket or a pipe says nothing
	}
	return to
}

// leaked returns in words of which kinds there are more now than before, "" if there are none.
func leaked(before, now map[string]int) string {
	var more []string
	for _, kind := range slices.Sorted(maps.Keys(now)) {
		if n := now[kind] - before[kind]; n > 0 {
			more = append(more, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(more, ", ")
}

// stillOpen waits until there are no more descriptors of any kind than before, and returns in words what is left open
// when that takes too long.
func stillOpen(before map[string]int, limit time.Duration) string {
	for end := time.Now().Add(limit); ; <-time.After(10 * time.Millisecond) {
		now, _ := openNow()
		if left := leaked(before, now); left == "" || time.Now().After(end) {
			return left
		}
	}
}
