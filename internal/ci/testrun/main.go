// Testrun runs the tests for .ci/run and judges them by what `go test -json` says.
//
//	testrun tests -as NAME [-dir MODULE] [-out DIR] [-budgets FILE] [-beside N] FLAGS PACKAGES
//	testrun report [-out DIR] [-budgets FILE] [-begin SECONDS]
//
// "tests" runs the tests of one module through gotestsum, which shows how far they are and writes the log of all
// events to DIR/NAME.json. Flags of go test are written with "=". A test that only missed a deadline (see ci.Latef)
// is run again, alone; if it then passes, the run is green, and its name and the end of its failure go to
// DIR/flaky.txt. With -beside, N commands test the packages beside each other, those with the greatest budgets first.
//
// "report" shows how long each package took beside its budget, which tests took long without saying why, which were
// skipped, and last which were flaky. A package that took more than twice its budget makes it fail, and so does a
// test that was skipped for something its machine lacks.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("usage: testrun tests|report ..."))
	}
	switch os.Args[1] {
	case "tests":
		fail(tests(os.Args[2:]))
	case "report":
		fail(report(os.Args[2:]))
	default:
		fail(fmt.Errorf("testrun has no command %q", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Println("RED:", err)
		os.Exit(1)
	}
}

func tests(args []string) error {
	flags := flag.NewFlagSet("tests", flag.ExitOnError)
	name := flags.String("as", "", "`name` of the log")
	dir := flags.String("dir", ".", "folder of the `module`")
	out := flags.String("out", ".ci/out", "`folder` of the logs")
	file := flags.String("budgets", ".ci/budgets", "`file` of the budgets")
	beside := flags.Int("beside", 1, "`commands` that test beside each other")
	rest := split(flags, args)
	if *name == "" || len(rest) == 0 {
		return errors.New("testrun tests needs -as, and the packages to test")
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if *dir != "." {
		*name += "-" + strings.ReplaceAll(filepath.ToSlash(*dir), "/", "-")
	}
	folder, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	b, err := readBudgets(*file)
	if err != nil {
		return err
	}
	s := suite{name: *name, dir: *dir, out: folder, beside: *beside, budgets: b,
		print: os.Stdout, command: goIn(*dir)}
	s.first = func(stdout io.Writer, log string, args []string) error {
		sum := []string{"tool", "-modfile=" + filepath.Join(root, "tools", "go.mod"), "gotestsum", "--format=pkgname",
			"--format-hide-empty-pkg", "--hide-summary=skipped", "--jsonfile=" + log, "--"}
		return s.command(stdout, append(sum, args...)...)
	}
	for _, arg := range rest {
		if strings.HasPrefix(arg, "-") {
			s.flags = append(s.flags, arg)
		} else {
			s.packages = append(s.packages, arg)
		}
	}
	return s.run()
}

// goIn runs the go command in the folder dir.
func goIn(dir string) func(stdout io.Writer, args ...string) error {
	return func(stdout io.Writer, args ...string) error {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, os.Stderr
		return cmd.Run()
	}
}

// split parses the program's own flags, which come first, and returns the others: those of go test, and packages.
func split(flags *flag.FlagSet, args []string) (rest []string) {
	own := 0
	for own+1 < len(args) && strings.HasPrefix(args[own], "-") && flags.Lookup(strings.TrimLeft(args[own], "-")) != nil {
		own += 2
	}
	flags.Parse(args[:own])
	return args[own:]
}

func report(args []string) error {
	flags := flag.NewFlagSet("report", flag.ExitOnError)
	out := flags.String("out", ".ci/out", "`folder` of the logs")
	budgets := flags.String("budgets", ".ci/budgets", "`file` of the budgets")
	begin := flags.Int64("begin", 0, "when .ci/run began, in `seconds` of 1970; 0 = not known")
	flags.Parse(args)
	var took time.Duration
	if *begin > 0 {
		took = time.Since(time.Unix(*begin, 0))
	}
	return account{out: *out, budgets: *budgets, took: took, tree: ".", print: os.Stdout}.show()
}
