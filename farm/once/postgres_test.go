package once_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// postgres is a server of a test's own, on a socket.
type postgres struct {
	t    *testing.T
	bin  string // folder of its programs; "" = they are in PATH
	user string // as whom they run; "" = as this process
	dir  string
}

// startPostgres makes a database and starts its server. As root it runs as the user that the packages make,
// since it refuses to be root.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{t: t}
	if _, err := exec.LookPath("initdb"); err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's
		if len(found) == 0 {
			ci.Missingf(t, "PostgreSQL")
		}
		p.bin = found[len(found)-1]
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "webfarm-postgres"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	if os.Getuid() == 0 {
		p.user = "postgres"
		if out, err := exec.Command("chown", "-R", p.user, p.dir).CombinedOutput(); err != nil {
			ci.Missingf(t, "the user that PostgreSQL runs as: %s", out)
		}
	}
	data := filepath.Join(p.dir, "data")
	p.run("initdb", "-D", data, "-A", "trust", "-U", "test", "--no-sync")
	t.Cleanup(func() { p.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop") })
	p.run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(p.dir, "log"), "-o",
		"-c listen_addresses='' -c fsync=off -k "+p.dir, "start")
	return p
}

// run runs one of its programs.
func (p *postgres) run(program string, args ...string) string {
	p.t.Helper()
	args = append([]string{filepath.Join(p.bin, program)}, args...)
	if p.user != "" {
		args = append([]string{"setpriv", "--reuid", p.user, "--regid", p.user, "--init-groups"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// does carries out statements, and returns what PostgreSQL says of each: INSERT 0 1, say.
func (p *postgres) does(sql string) []string {
	p.t.Helper()
	return strings.Split(strings.TrimSpace(p.run("psql", "-h", p.dir, "-U", "test", "-d", "postgres", "-v",
		"ON_ERROR_STOP=1", "-c", sql)), "\n")
}

// statements returns the SQL of the guide.
func statements(t *testing.T) []string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```sql\n(.*?)\n```").FindAllStringSubmatch(string(guide), -1) {
		out = append(out, m[1])
	}
	if len(out) != 2 {
		t.Fatalf("%d statements in the guide", len(out))
	}
	return out
}

// The statements of the guide have a real PostgreSQL refuse a holder whose fence is not the greatest.
// Slow: a PostgreSQL is set up and started.
func TestPostgresRefusesStaleFences(t *testing.T) {
	p, sql := startPostgres(t), statements(t)
	p.does("CREATE TABLE stock (sku text PRIMARY KEY, amount int NOT NULL, fence bigint NOT NULL DEFAULT 0)")
	p.does("CREATE TABLE fences (name text PRIMARY KEY, fence bigint NOT NULL)")
	p.does("INSERT INTO stock (sku, amount) VALUES ('mug', 1)")
	const first, second = 1_700_000_000_000_000, 1_700_000_000_000_001 // as Lease.Fence is
	for _, c := range []struct {
		statement, args string
		fence           int64
		want            string
	}{
		{sql[0], "10, %d, 'mug'", first, "UPDATE 1"},
		{sql[0], "20, %d, 'mug'", second, "UPDATE 1"},
		{sql[0], "11, %d, 'mug'", first, "UPDATE 0"},
		{sql[0], "21, %d, 'mug'", second, "UPDATE 1"},
		{sql[1], "'report', %d", first, "INSERT 0 1"},
		{sql[1], "'report', %d", second, "INSERT 0 1"},
		{sql[1], "'report', %d", first, "INSERT 0 0"},
		{sql[1], "'report', %d", second, "INSERT 0 1"},
	} {
		args := fmt.Sprintf(c.args, c.fence)
		got := p.does("PREPARE it AS " + c.statement + "\n; EXECUTE it(" + args + ")")
		if last := got[len(got)-1]; last != c.want {
			t.Errorf("%s with %s: %q, want %q", strings.Fields(c.statement)[0], args, last, c.want)
		}
	}
	if got := p.does("SELECT amount FROM stock"); !strings.Contains(strings.Join(got, " "), "21") {
		t.Errorf("the stock is %q", got)
	}
}
