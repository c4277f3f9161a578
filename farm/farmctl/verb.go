package farmctl

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// verb is something an operator can have done.
type verb struct {
	name        string
	args        string // shown in its usage
	least, most int    // number of arguments
	remote      bool   // it talks to a farm
	alone       bool   // it does so without a majority, too, and says what is amiss
	short       string
	long        string                                    // farmctl in it stands for the name by which the verbs are called
	define      func(c *call) func(context.Context) error // defines flags and returns what to do once they are parsed
}

func verbs() []*verb {
	return []*verb{secretVerb(), membersVerb(), statsVerb(), jobsVerb(), locksVerb(), migrationsVerb(),
		leaveVerb(), drainVerb(), restartVerb(), finalizeVerb(), backupVerb(), restoreVerb(), recoverVerb(),
		publishVerb(), previewVerb(), credentialVerb(), keysVerb(), configVerb(), checkVerb(), releasesVerb(), activateVerb(), rollbackVerb(), canaryVerb(),
		abortVerb(), driftVerb()}
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
		con.printHelp(con.out)
		return codeDone
	}
	v := findVerb(args[0])
	if v == nil {
		return con.noVerb(args[0])
	}
	return codeOf(v.call(context.Background(), con, []string{"-help"}))
}

// noVerb says that there is no verb of that name.
func (con console) noVerb(name string) int {
	if strings.HasPrefix(name, "-") {
		fmt.Fprintf(con.err, "%[1]s: flags come after the verb: %[1]s VERB %[2]s ...; %[1]s help lists the verbs\n",
			con.name, name)
		return codeUsage
	}
	fmt.Fprintf(con.err, "%s: there is no verb %q; %s help lists them\n", con.name, name, con.name)
	return codeUsage
}

func (con console) printHelp(w io.Writer) {
	fmt.Fprintf(w, "Operates a farm.\n\n    %s VERB [flags] [arguments]\n\n", con.name)
	for _, v := range verbs() {
		fmt.Fprintf(w, "    %-10s %s\n", v.name, v.short)
	}
	fmt.Fprintf(w, `
%s help VERB says more. Where the farm is: -node, or FARM_JOIN. Its secret: FARM_SECRET, or the file that
FARM_SECRET_FILE names.

Exit codes: 0 done, 1 failed, 2 usage, 3 no node reached, 4 not authorized, 5 refused, 6 no quorum, 7 backup damaged,
8 interrupted, so that it may or may not have happened.
`, con.name)
}

func (con console) printVerb(v *verb, fs *flag.FlagSet) {
	w := con.out
	fmt.Fprintf(w, "    %s %s\n\n%s\n", con.name, strings.TrimSpace(v.name+" [flags] "+v.args),
		strings.ReplaceAll(strings.TrimSpace(v.long), "farmctl", con.name))
	var any bool
	fs.VisitAll(func(*flag.Flag) { any = true })
	if any {
		fmt.Fprint(w, "\nFlags:\n")
		fs.SetOutput(w)
		fs.PrintDefaults()
	}
}
