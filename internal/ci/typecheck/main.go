// Typecheck checks the types of the module in the current folder for the system of GOOS and GOARCH, tests included.
// It reads all packages that the module needs from their sources. `go vet` and `go build` find the same mistakes in
// what is written for one system only, but compile everything first.
//
//	GOOS=windows GOARCH=amd64 typecheck PACKAGES
//
// It does not find what only a compiler or a linker does: a function without a body that no assembly file has.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: typecheck PACKAGES")
		os.Exit(2)
	}
	packages, err := list(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
	c := newChecker(packages, runtime.NumCPU())
	own, faults := c.check()
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(faults) == 0 && own == 0 {
		fmt.Fprintln(os.Stderr, "typecheck: no package is of this module")
	}
	if len(faults) > 0 || own == 0 {
		os.Exit(1)
	}
}
