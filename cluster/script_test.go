package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/memnet"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// TestScript runs the scripts of testdata/script, each in a bubble of fake time over a network in memory. The
// language is described in testdata/script/README.md; the verbs are the tables in script_verbs_test.go and
// script_expect_test.go.
// Slow: some two hundred farms are played, and each of them signs and encrypts.
func TestScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := parseScript(string(text))
	if err != nil {
		t.Fatalf("%s:%v", file, err)
	}
	plays, err := playsOf(lines[0])
	if err != nil {
		t.Fatalf("%s:%d: %v", file, lines[0].no, err)
	}
	if race.Enabled {
		plays = underRace(plays)
		if waits(lines) >= 20*time.Second {
			t.Skip(onlyWaitedFor)
		}
		if filepath.Base(file) == "secret_rotation.txt" {
			t.Skip("nine restarts take the race detector a minute, and one of them races as all do")
		}
	}
	for _, p := range plays {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir() // made outside, because a bubble's clock is years off the file system's
			bubble.Test(t, func(t *testing.T) {
				s := newScript(t, file, p, dir)
				t.Cleanup(s.end)
				s.run(lines)
				s.closing()
			})
		})
	}
}

// onlyWaitedFor is why a test is left out of the race run.
const onlyWaitedFor = "a farm that is only waited for takes the race detector minutes, and races no more " +
	"than in other tests"

// waits returns for how long the lines of a script wait, together.
func waits(lines []scriptLine) (all time.Duration) {
	for _, l := range lines {
		verb, long, _ := strings.Cut(l.text, " ")
		if d, err := time.ParseDuration(long); verb == "wait" && err == nil {
			all += d
		}
	}
	return all
}

// scriptLine is one line with what is indented below it.
type scriptLine struct {
	no    int
	text  string
	block []scriptLine
}

// parseScript returns the lines of a script without comments. It fails if the script does not begin with a
// comment that says what it shows.
func parseScript(text string) ([]scriptLine, error) {
	var top []scriptLine
	open := []*[]scriptLine{&top} // by depth
	for i, raw := range strings.Split(text, "\n") {
		if i == 0 && !strings.HasPrefix(raw, "# ") {
			return nil, fmt.Errorf("1: a script begins with a comment that says what it shows")
		}
		code, _, _ := strings.Cut(raw, "#")
		if strings.TrimSpace(code) == "" {
			continue
		}
		if err := known(strings.TrimSpace(code)); err != nil {
			return nil, fmt.Errorf("%d: %w", i+1, err)
		}
		depth := len(code) - len(strings.TrimLeft(code, "\t"))
		if depth >= len(open) {
			return nil, fmt.Errorf("%d: indented by tabs, at most one more than the line before", i+1)
		}
		open = open[:depth+1]
		*open[depth] = append(*open[depth], scriptLine{no: i + 1, text: strings.TrimSpace(code)})
		open = append(open, &(*open[depth])[len(*open[depth])-1].block)
	}
	if len(top) == 0 {
		return nil, fmt.Errorf("1: there is nothing to do")
	}
	return top, nil
}

// known checks that the verb of a line is one.
func known(line string) error {
	if verb, _, _ := strings.Cut(line, " "); scriptVerbs[verb] == nil {
		return fmt.Errorf("there is no verb %q", verb)
	}
	return nil
}

// play is one way to run a script: with so many machines, durable or in memory.
type play struct {
	machines int
	durable  bool
	formed   bool // formed before the script goes on
}

func (p play) String() string {
	return fmt.Sprintf("%d-%s", p.machines, map[bool]string{false: "memory", true: "durable"}[p.durable])
}

// playsOf reads the first line: "farm" or "machines", numbers, and "durable", "memory" or "both".
func playsOf(l scriptLine) (plays []play, err error) {
	words := strings.Fields(l.text)
	modes := map[string][]bool{"memory": {false}, "durable": {true},
		"both": {false, true}}[words[len(words)-1]]
	if len(words) < 3 || words[0] != "farm" && words[0] != "machines" || modes == nil {
		return nil, fmt.Errorf("a script starts with `farm N... MODE` or `machines N... MODE`, not with %q", l.text)
	}
	for _, w := range words[1 : len(words)-1] {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of machines", w)
		}
		for _, durable := range modes {
			plays = append(plays, play{n, durable, words[0] == "farm"})
		}
	}
	return plays, nil
}

// underRace leaves out runs of a script that take the race detector minutes and race no more than the others:
// in greater farms, where there are smaller ones, and in memory, where there are durable ones.
func underRace(plays []play) []play {
	keep := func(plays []play, want func(play) bool) []play {
		kept := slices.DeleteFunc(slices.Clone(plays), func(p play) bool { return !want(p) })
		if len(kept) == 0 {
			return plays
		}
		return kept
	}
	plays = keep(plays, func(p play) bool { return p.machines <= 3 })
	return keep(plays, func(p play) bool { return p.durable })
}

// script is one run of a script.
type script struct {
	*lab
	file string
	play
	dir  string
	line scriptLine

	cast    []*actor          // all machines
	names   map[string]*actor // by let and each
	it      []*actor          // whom the last line with a subject was about
	named   []*actor          // whom the present line names so far
	farm    string            // the cluster ID that was seen first
	farms   map[string]bool   // all that were
	term    uint64            // at the last wait
	samples []time.Duration
	model   model
	hosts   hostNames
	pki     map[string]*authority // by the word that the script has for it
	saved   savedFarm
}

func newScript(t *testing.T, file string, p play, dir string) *script {
	s := &script{lab: &lab{t: t, net: memnet.New()}, file: file, play: p, dir: dir,
		names: map[string]*actor{},
		farms: map[string]bool{}, model: newModel()}
	s.lab.fatalf = s.fatalf
	for range p.machines {
		s.addMachine()
	}
	return s
}

func (s *script) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s: %s", s.file, s.line.no, s.line.text, fmt.Sprintf(format, args...))
}

// run does the lines, one after the other.
func (s *script) run(lines []scriptLine) {
	for _, l := range lines {
		s.line, s.named = l, nil
		verb, rest, _ := strings.Cut(l.text, " ")
		if len(l.block) > 0 && !slices.Contains(blockVerbs, verb) {
			s.fatalf("%q has no block", verb)
		}
		scriptVerbs[verb](s, strings.TrimSpace(rest))
		s.census()
	}
}

// closing checks, whatever the script was about, what must always hold.
func (s *script) closing() {
	s.line.text = "at the end of the script"
	s.net.Heal()
	if s.oneLineage() {
		s.check()
	}
	if len(s.farms) == 1 {
		s.oneLeaderPerTerm()
	}
}

// end stops what still runs, so that the bubble can end.
func (s *script) end() {
	s.model.stop()
	for _, a := range s.cast {
		a.freeDisk()
		if a.up {
			a.stop()
		}
		a.await()
	}
	time.Sleep(time.Minute) // memberlist does not wait for its probes
}

// census notes the farms there are.
func (s *script) census() {
	for _, a := range s.cast {
		if a.up {
			if id := a.State().ClusterID; id != "" {
				s.farms[id] = true
				s.farm = firstOf(s.farm, id)
			}
		}
	}
}

// oneLineage reports whether there was one farm only, which may have been re-formed, and all who live are in
// it.
func (s *script) oneLineage() bool {
	for id := range s.farms {
		if lineage, _ := epochOf(id); lineage != s.lineage() {
			return false
		}
	}
	return len(s.farms) == 1 || expectFarms(s, "1", nil) == nil
}

// lineage returns that of the farm that was there first.
func (s *script) lineage() string {
	lineage, _ := epochOf(s.farm)
	return lineage
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

var trailing = regexp.MustCompile(`^(.*?)\s*\b(within|for) (\d+(?:\.\d+)?(?:ms|s|m|h))$`)

// patience takes "within D" or "for D" off the end of a line.
func (s *script) patience(text string) (rest, word string, d time.Duration) {
	m := trailing.FindStringSubmatch(text)
	if m == nil {
		return text, "", 0
	}
	return m[1], m[2], s.duration(m[3])
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.fatalf("%q is no duration", text)
	}
	return d
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		s.fatalf("%q is no number", text)
	}
	return n
}

func TestParseScript(t *testing.T) {
	lines, err := parseScript("# what it shows\n\nfarm 3 both # three\neach follower\n\tkill it\n\trepeat " +
		"2\n\t\twait 1s\ncheck\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 3 || len(lines[1].block) != 2 || lines[1].block[1].block[0].text != "wait 1s" ||
		lines[2].no != 8 {
		t.Errorf("%+v", lines)
	}
	plays, err := playsOf(lines[0])
	if err != nil || !slices.Equal(plays, []play{{3, false, true}, {3, true, true}}) {
		t.Errorf("%v, %v", plays, err)
	}
	for _, bad := range []string{"farm 3 both\n", "# only a comment\n", "# x\nfarm 3 both\n\t\twait 1s\n",
		"# x\n\tfarm 3 both\n",
		"# x\nfarm 3 both\nfrighten the leader\n"} {
		if _, err := parseScript(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, bad := range []string{"farm", "farm 3", "farm three both", "herd 3 both"} {
		if _, err := playsOf(scriptLine{text: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// What a script may say is in its README, all of it.
func TestScriptLanguageIsDescribed(t *testing.T) {
	text, err := os.ReadFile("testdata/script/README.md")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for i, part := range strings.Split(string(text), "`") {
		if i%2 == 1 {
			code += part + "\n"
		}
	}
	words := slices.Concat(sortedKeys(scriptVerbs), sortedKeys(scriptFields), sortedKeys(expectations),
		sortedKeys(outcomes), sortedKeys(failures))
	for _, word := range words {
		if !regexp.MustCompile(`\b` + word + `\b`).MatchString(code) {
			t.Errorf("the README does not say what %q is", word)
		}
	}
}
