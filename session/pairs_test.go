package session

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What is left of a line of cookies is what net/http finds in it, save for ours.
func FuzzOtherPairs(f *testing.F) {
	m := &Manager{cfg: Config{Cookie: Cookie{Name: "sid"}}, index: "six"}
	for _, line := range []string{"", "sid=T", "sid=T; six=I", "a=1; sid=T; six=I;b=2", "sid =T;\tsid\t=U ;a", ";;sid=T;;a=1; ", "sid", "sidx=1;xsid=2",
		`a="1; sid=T"; b=2`, "a=1;sid=T;", " ;sid=T", "SID=1; sid==T==; =x"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return // no line of a header
		}
		read := func(line string) (all []string) {
			for _, c := range (&http.Request{Header: http.Header{"Cookie": {line}}}).Cookies() {
				if c.Name != "sid" && c.Name != "six" {
					all = append(all, c.String())
				}
			}
			return all
		}
		rest := m.otherPairs(line)
		if got, want := read(rest), read(line); !slices.Equal(got, want) {
			t.Errorf("of %q is left %q: %q, want %q", line, rest, got, want)
		}
		var brings offer
		if brings.cookies(http.Header{"Cookie": {rest}}, "sid", "six"); brings.proves {
			t.Errorf("of %q is left %q", line, rest)
		}
		if brings.cookies(http.Header{"Cookie": {line}}, "sid", "six"); !brings.proves && rest != line {
			t.Errorf("%q has none of ours, and is %q", line, rest)
		}
	})
}

// A line of the Cookie field that is full of ours costs no more than its length.
func TestOtherPairs_Cost(t *testing.T) {
	m := &Manager{cfg: Config{Cookie: Cookie{Name: "sid"}}, index: "six"}
	for _, unit := range []string{"sid;a;", "a;sid;", "sid;", "a;"} {
		line := strings.Repeat(unit, (1<<20)/len(unit))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m.otherPairs(line)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 2*uint64(len(line)) {
			t.Errorf("%q: a line of %d bytes took %d", unit, len(line), took)
		}
	}
}
