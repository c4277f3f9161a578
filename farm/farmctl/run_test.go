package farmctl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got to a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s is now\n%s\nand was\n%s\ngo test -update rewrites it", name, got, want)
	}
}

// result is what a run of farmctl ended with.
type result struct {
	code     int
	out, err string
}

// ctl runs farmctl as a script would, with in on its standard input.
func ctl(t *testing.T, args ...string) result {
	return ctlAs(t, console{in: strings.NewReader("")}, args...)
}

func ctlAs(t *testing.T, con console, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	con.out, con.err = &out, &errs
	con.name = cmp.Or(con.name, "farmctl")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return result{run(ctx, con, args), out.String(), errs.String()}
}

// clean takes what the environment of the test says of a farm away.
func clean(t *testing.T) {
	for _, name := range []string{"FARM_FARM", "FARM_JOIN", "FARM_SECRET", "FARM_SECRET_FILE", "FARM_CONFIG_KEY_FILE",
		"FARM_CREDENTIAL", "FARM_CREDENTIAL_FILE", "FARM_AS"} {
		t.Setenv(name, "")
	}
}

func TestUsage(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		args string
		code int
		text string // on standard error
	}{
		{"", codeUsage, "farmctl VERB"},
		{"dance", codeUsage, `no verb "dance"`},
		{"help dance", codeUsage, `no verb "dance"`},
		{"help", codeDone, ""},
		{"-h", codeDone, ""},
		{"help members", codeDone, ""},
		{"members -h", codeDone, ""},
		{"secret", codeDone, ""},
		{"secret now", codeUsage, "it is: farmctl secret"},
		{"-node 127.0.0.1:1 jobs", codeUsage, "flags come after the verb"},
		{"members", codeUsage, "-node 10.0.0.1:7946, or FARM_JOIN"},
		{"members -secret x", codeUsage, "-secret"},
		{"members -node nowhere", codeUsage, "is not host:port"},
		{"members -node 127.0.0.1:1 -timeout 0s", codeUsage, "-timeout"},
		{"members -node 127.0.0.1:1 -timeout 5s", codeUnreachable, "no node of the farm can be reached"},
		{"members -timeout=5s -node=127.0.0.1:1,127.0.0.1:2 -json", codeUnreachable, "127.0.0.1:2"},
		{"leave -node 127.0.0.1:1", codeUsage, "it is: farmctl leave NAME"},
		{"leave n1 n2 -node 127.0.0.1:1", codeUsage, "it is: farmctl leave NAME"},
		{"leave n1 -node 127.0.0.1:1", codeUnreachable, ""},
		{"finalize -node 127.0.0.1:1 -yes", codeUnreachable, ""},
		{"backup", codeUsage, "it is: farmctl backup FILE|-"},
		{"backup -node 127.0.0.1:1 run.go", codeUsage, "run.go exists"},
		{"backup -verify run.go", codeDamaged, "run.go: this is no backup"},
		{"backup -verify nothing-there", codeFailed, "nothing-there"},
		{"backup -- -x", codeUsage, "-node"},
		{"restore -node 127.0.0.1:1 nothing-there", codeFailed, "nothing-there"},
		{"restore -node 127.0.0.1:1 run.go", codeDamaged, "run.go: this is no backup"},
		{"recover -node 127.0.0.1:1", codeUnreachable, ""},
		{"recover n1 -node 127.0.0.1:1", codeUsage, "it is: farmctl recover"},
	} {
		got := ctl(t, strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.err, c.text) || (got.err == "") != (got.code == codeDone) {
			t.Errorf("farmctl %s: exit code %d, %q; want %d and %q", c.args, got.code, got.err, c.code, c.text)
		}
	}
	t.Setenv("FARM_SECRET", "hunter2")
	if got := ctl(t, "members", "-node", "127.0.0.1:1"); got.code != codeUsage || strings.Contains(got.err, "hunter2") ||
		!strings.Contains(got.err, "128") {
		t.Errorf("a weak secret: %+v", got)
	}
	t.Setenv("FARM_SECRET_FILE", "x")
	if got := ctl(t, "members", "-node", "127.0.0.1:1"); got.code != codeUsage || !strings.Contains(got.err, "both") {
		t.Errorf("two sources of secrets: %+v", got)
	}
}

// A program that carries the verbs is named as it is called, in help, messages and hints; farmctl is then nobody's name.
func TestCarriedByAnotherProgram(t *testing.T) {
	clean(t)
	shop := console{name: "shop farm", in: strings.NewReader("")}
	for _, v := range verbs() {
		got := ctlAs(t, shop, "help", v.name)
		if !strings.Contains(got.out, "shop farm "+v.name) || strings.Contains(got.out, "farmctl") {
			t.Errorf("help %s: %s", v.name, got.out)
		}
	}
	for _, args := range []string{"", "help", "dance", "help dance", "members", "members -x", "leave"} {
		got := ctlAs(t, shop, strings.Fields(args)...)
		if all := got.out + got.err; !strings.Contains(all, "shop farm") || strings.Contains(all, "farmctl") {
			t.Errorf("%q: %s", args, all)
		}
	}
	var out bytes.Buffer
	c := &call{console: console{name: "shop farm"}}
	for _, f := range sampleFarms() {
		if err := c.printFarm(&out, f); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(out.String(), "shop farm recover") || strings.Contains(out.String(), "farmctl") {
		t.Error(&out)
	}
}

// The manual, the help and the code know the same verbs and exit codes.
func TestManual(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs() {
		if !strings.Contains(string(doc), fmt.Sprintf("//\t%-10s %s\n", v.name, v.short)) {
			t.Errorf("doc.go does not have %s: %s", v.name, v.short)
		}
		got := ctl(t, "help", v.name)
		if got.code != codeDone || got.err != "" || !strings.Contains(got.out, "farmctl "+v.name) {
			t.Errorf("help %s: %+v", v.name, got)
		}
		for _, line := range strings.Split(v.long, "\n") {
			if len(line) > 120 {
				t.Errorf("help %s has a line of %d characters", v.name, len(line))
			}
		}
	}
	clean(t)
	golden(t, "help.txt", []byte(ctl(t, "help").out))
}

func TestExitCodes(t *testing.T) {
	for want, errs := range map[int][]error{
		codeDone:          {nil, flag.ErrHelp},
		codeFailed:        {io.ErrClosedPipe, errDeclined},
		codeUsage:         {usage("x")},
		codeUnreachable:   {admin.ErrUnreachable},
		codeNotAuthorized: {admin.ErrNotAuthorized, errors.Join(admin.ErrNotAuthorized, admin.ErrUnreachable)},
		codeRefused:       {admin.ErrRefused, admin.ErrNoMember, admin.ErrUnsupported},
		codeNoQuorum:      {admin.ErrNoQuorum},
		codeDamaged:       {backup.ErrDamaged, backup.ErrFormat},
		codeInterrupted:   {admin.ErrInterrupted},
	} {
		for _, err := range errs {
			if err != nil && err != flag.ErrHelp {
				err = fmt.Errorf("while this: %w", err)
			}
			if got := codeOf(err); got != want {
				t.Errorf("%v: exit code %d, want %d", err, got, want)
			}
		}
	}
}

func TestSecret(t *testing.T) {
	a, b := ctl(t, "secret"), ctl(t, "secret")
	if a.out == b.out || strings.Count(a.out, "\n") != 1 || len(strings.TrimSpace(a.out))*6 < 256 {
		t.Errorf("%q, %q", a.out, b.out)
	}
	clean(t)
	t.Setenv("FARM_SECRET", strings.TrimSpace(a.out)) // it is one that farms take
	if got := ctl(t, "members", "-node", "127.0.0.1:1"); got.code != codeUnreachable {
		t.Errorf("%+v", got)
	}
}

func TestConfirm(t *testing.T) {
	for typed, want := range map[string]error{"shop\n": nil, "  shop  \n": nil, "shop": nil,
		"shopping\n": errDeclined, "yes\n": errDeclined, "": errDeclined} {
		var shown bytes.Buffer
		c := &call{console: console{in: strings.NewReader(typed), err: &shown, asks: true}}
		if err := c.confirm(t.Context(), false, "shop"); err != want {
			t.Errorf("%q typed: %v, want %v", typed, err, want)
		}
		if !strings.Contains(shown.String(), "Type shop") {
			t.Errorf("asked by %q", &shown)
		}
	}
	c := &call{console: console{in: strings.NewReader("shop\n")}}
	if err := c.confirm(t.Context(), false, "shop"); !errors.Is(err, errUsage) {
		t.Errorf("nobody there to ask: %v", err)
	}
	if err := c.confirm(t.Context(), true, "shop"); err != nil {
		t.Errorf("-yes: %v", err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe()
	defer w.Close()
	c = &call{console: console{in: silent, err: io.Discard, asks: true}}
	if err := c.confirm(interrupted, false, "shop"); err != errDeclined {
		t.Errorf("interrupted: %v", err)
	}
}

// sampleFarms are farms in which something is to be seen.
func sampleFarms() map[string]admin.Farm {
	member := func(n int) admin.Member {
		return admin.Member{ID: fmt.Sprintf("%d1d1d1d1d1d1d1d1", n), Name: fmt.Sprintf("n%d", n), Addr: fmt.Sprintf("10.0.0.%d:7946", n),
			Status: admin.Alive, Role: "ordinary", Vote: admin.Voter, Version: "v1.2.0", Level: 2, Applied: 1234}
	}
	three := func() admin.Farm {
		f := admin.Farm{Name: "shop", ClusterID: "c0ffee", Answered: "11d1d1d1d1d1d1d1", Leader: "21d1d1d1d1d1d1d1", Term: 7, Quorum: true,
			Durable: true, Level: 2, CommonLevel: 2, Members: []admin.Member{member(1), member(2), member(3)}}
		f.Members[1].Leader = true
		return f
	}
	mixed := three()
	mixed.Level = 1
	front, late := member(4), member(5)
	front.Role, front.Vote, front.Lag, front.Applied = "front", admin.Nonvoter, 4, 1230
	late.Vote, late.Applied, late.Lag, late.Version = "", 0, 1234, ""
	mixed.Members = append(mixed.Members, front, late)
	mixed.Members[0].Leaving = true

	lost := three()
	lost.Leader, lost.Quorum, lost.Members[1].Leader = "", false, false
	lost.Members[1].Status = admin.Dead
	lost.Members[2] = admin.Member{ID: "31d1d1d1d1d1d1d1", Status: admin.Unknown, Vote: admin.Voter, Lag: 1234}

	gone := three() // one that stopped, and one that left and has still its place
	gone.Members[0].Status, gone.Members[2].Status = admin.Stopped, admin.Left

	voting := three()
	voting.Quorum, voting.Leader = false, ""

	alone := admin.Farm{Name: "shop", Answered: "11d1d1d1d1d1d1d1", Level: 1, CommonLevel: 2, Members: []admin.Member{member(1)}}
	alone.Members[0].Vote, alone.Members[0].Name = "", "n1\x1b[2J\n" // hostile, if it were printed as it is
	failed := alone
	failed.Failure = "cluster: the farm has a live node of this name already"
	differs, split := three(), three()
	differs.Divergence = "after entry 1230: the hash is 01 at n1 and n2, 02 at n3; the majority is right; n3 begins anew"
	split.Divergence, split.Undecided = "after entry 1230: the hash is 01 at n1, 02 at n2; the farm takes no writes", true
	return map[string]admin.Farm{"1 all well": three(), "2 mixed": mixed, "3 no quorum": lost, "4 no leader": voting,
		"5 waits for a farm": alone, "6 failed": failed, "7 a copy differs": differs, "8 no majority": split,
		"9 stopped and left": gone}
}

func TestPrintFarm(t *testing.T) {
	var all bytes.Buffer
	farms, c := sampleFarms(), &call{console: console{name: "farmctl"}}
	for _, name := range []string{"1 all well", "2 mixed", "3 no quorum", "4 no leader", "5 waits for a farm", "6 failed", "7 a copy differs",
		"8 no majority", "9 stopped and left"} {
		fmt.Fprintf(&all, "--- %s\n", name)
		if err := c.printFarm(&all, farms[name]); err != nil {
			t.Error(err)
		}
	}
	golden(t, "members.txt", all.Bytes())
	var one bytes.Buffer
	c = &call{console: console{out: &one}, json: true}
	if err := c.showFarm(farms["1 all well"], false); err != nil {
		t.Error(err)
	}
	var back admin.Farm
	if err := json.Unmarshal(one.Bytes(), &back); err != nil || len(back.Members) != 3 || bytes.Count(one.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%s: %v", &one, err)
	}
	golden(t, "members.json", one.Bytes())
}

func TestPrintBackup(t *testing.T) {
	h := backup.Header{Farm: "shop", ClusterID: "c0ffee", Index: 1234, LogTime: time.Unix(1.8e9, 0), Taken: time.Unix(1.8e9+5, 0), Node: "n1",
		Version: "v1.2.0", Level: 2, Durable: true, Current: true, Members: 3, Machines: []string{"keyring", "session"}}
	var b bytes.Buffer
	if err := printBackup(&b, "shop.backup", h, 5<<20); err != nil {
		t.Error(err)
	}
	h.Current, h.Version = false, ""
	if err := printBackup(&b, "shop.backup", h, 999); err != nil {
		t.Error(err)
	}
	golden(t, "backup.txt", b.Bytes())
}

func sampleSurvey() admin.Survey {
	return admin.Survey{Farm: "shop", ClusterID: "c0ffee", Durable: true, Successor: "1a", Servers: []admin.Survivor{
		{ID: "1a", Name: "n1", Addr: "10.0.0.1:7946", Vote: admin.Voter, Answers: true, Term: 7, Last: 1230, Applied: 1230},
		{ID: "2b", Name: "n2", Addr: "10.0.0.2:7946", Vote: admin.Voter, Applied: 1234},
		{ID: "3c", Addr: "10.0.0.3:7946", Vote: admin.Voter, Applied: 1100},
		{ID: "4d", Name: "n4", Addr: "10.0.0.4:7946", Vote: admin.Nonvoter, Applied: 7},
	}}
}

func TestPrintSurvey(t *testing.T) {
	var b bytes.Buffer
	s := sampleSurvey()
	if err := printSurvey(&b, s); err != nil {
		t.Error(err)
	}
	s.Quorum = true
	if err := printSurvey(&b, s); err != nil {
		t.Error(err)
	}
	golden(t, "survey.txt", b.Bytes())
}

// Nobody is given up by mistake: not one who answers, and not one who was not named.
func TestGivenUp(t *testing.T) {
	all := []string{"2b", "3c", "4d"}
	for _, c := range []struct {
		lost string
		yes  bool
		want []string
		err  error
	}{
		{"", false, all, nil}, // a person is shown who they are, and asked
		{"", true, nil, errUsage},
		{"n2,3c,n4", true, all, nil},
		{"n2,3c", true, all[:2], nil}, // n4 has no vote
		{"n2", true, nil, admin.ErrRefused},
		{"n2", false, nil, admin.ErrRefused},
		{"1a,n2,3c", true, nil, admin.ErrRefused},
		{"n1,n2,3c", true, nil, admin.ErrNoMember},
		{"n9", true, nil, admin.ErrNoMember},
	} {
		o := recoverOptions{yes: c.yes}
		if c.lost != "" {
			o.lost = strings.Split(c.lost, ",")
		}
		got, err := givenUp(sampleSurvey(), o)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("-lost %q, -yes %v: %v, %v; want %v, %v", c.lost, c.yes, got, err, c.want, c.err)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 19: "1.5 MiB", 7 << 30: "7.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// A dead member is meant by -dead, also if a live one has its name by now: to be told "have it leave" would cost that one.
func TestFindGone(t *testing.T) {
	f := admin.Farm{Members: []admin.Member{{ID: "1", Name: "n1", Status: admin.Alive}, {ID: "2", Name: "n1", Status: admin.Dead},
		{ID: "3", Name: "n3", Status: admin.Alive}, {ID: "4", Status: admin.Unknown}}}
	for name, want := range map[string]string{"n1": "2", "1": "1", "2": "2", "n3": "3", "n4": "", "": ""} {
		if m, ok := findGone(f, name); m.ID != want || ok != (want != "") {
			t.Errorf("%s: %+v, want %q", name, m, want)
		}
	}
}
