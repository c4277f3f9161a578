// Farmctl operates a farm: who is in it, who leaves it, its protocol level, its backups.
//
//	farmctl VERB [flags] [arguments]
//
// Package farm/farmctl is its manual. A program can carry the same verbs itself.
package main

import (
	"os"

	"github.com/seed48eb2e21/webfarm/farm/farmctl"
)

func main() { os.Exit(farmctl.Main("farmctl", os.Args[1:])) }
