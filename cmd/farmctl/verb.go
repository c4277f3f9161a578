package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// verb is something farmctl does.
type verb struct {
	name        string
	args        string // shown in its usage
	least, most int    // number of arguments
	remote      bool   // it talks to a farm
	short       string
	long        string
	define      func(c *call) func(context.Context) error // defines flags and returns what to do once they are parsed
}

func verbs() []*verb {
	return []*verb{secretVerb(), membersVerb(), leaveVerb(), finalizeVerb(), backupVerb(), restoreVerb(), recoverVerb()}
}

func findVerb(name string) *verb {
	all := verbs()
	i := slices.IndexFunc(all, func(v *verb) bool { return v.name == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

func help(con console, args []string) int {
	if len(args) == 0 {
		printHelp(con.out)
		return codeDone
	}
	v := findVerb(args[0])
	if v == nil {
		fmt.Fprintf(con.err, "farmctl: there is no verb %q; farmctl help lists them\n", args[0])
		return codeUsage
	}
	return codeOf(v.call(context.Background(), con, []string{"-help"}))
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Farmctl operates a farm.\n\n    farmctl VERB [flags] [arguments]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "    %-10s %s\n", v.name, v.short)
	}
	fmt.Fprint(w, `
farmctl help VERB says more. Where the farm is: -node, or FARM_JOIN. Its secret: FARM_SECRET, or the file that
FARM_SECRET_FILE names.

Exit codes: 0 done, 1 failed, 2 usage, 3 no node reached, 4 not authorized, 5 refused, 6 no quorum, 7 backup damaged,
8 interrupted, so that it may or may not have happened.
`)
}

func (v *verb) printHelp(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "    farmctl %s\n\n%s\n", strings.TrimSpace(v.name+" [flags] "+v.args), strings.TrimSpace(v.long))
	var any bool
	fs.VisitAll(func(*flag.Flag) { any = true })
	if any {
		fmt.Fprint(w, "\nFlags:\n")
		fs.SetOutput(w)
		fs.PrintDefaults()
	}
}
