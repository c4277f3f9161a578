// Package layer puts the files of a revision on top of each other: which file is which layer, what is
// locked, and what comes out for a node and a request's path.
package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Rank is how far up a layer lies.
type Rank uint8

// The ranks of files, lowest first. The program's defaults lie below.
const (
	Global Rank = iota
	Role
	Node
)

// Roles are the names of roles.
var Roles = []string{"ordinary", "front", "staging"}

// Place is which layer of which config a file is.
type Place struct {
	Config string
	Rank   Rank
	Name   string // of the role or the node
}

// String returns "global", "role front" or "node n1".
func (p Place) String() string {
	switch p.Rank {
	case Role:
		return "role " + p.Name
	case Node:
		return "node " + p.Name
	}
	return "global"
}

// Path returns the file's path within its folder, as a YAML file.
func (p Place) Path() string {
	file := p.Config + ".yaml"
	switch p.Rank {
	case Role:
		return path.Join("roles", p.Name, file)
	case Node:
		return path.Join("nodes", p.Name, file)
	}
	return file
}

// MaxName is the longest name of a config, in bytes.
const MaxName = 64

var name = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// ValidName reports whether a config can have a name.
func ValidName(s string) bool { return len(s) <= MaxName && name.MatchString(s) }

var errLayout = errors.New("is in no place for a file of configuration, which are: site.yaml, " +
	"roles/front/site.yaml and nodes/n1/site.yaml, with the config's name for site")

// Locate returns which layer a file is, by its path.
func Locate(file string) (Place, error) {
	var p Place
	parts := strings.Split(file, "/")
	base, ext := parts[len(parts)-1], path.Ext(file)
	p.Config = strings.TrimSuffix(base, ext)
	switch {
	case !fs.ValidPath(file):
		return p, errLayout
	case ext != ".yaml" && ext != ".yml" && ext != ".json":
		return p, errors.New("has to end in .yaml, .yml or .json")
	case !ValidName(p.Config):
		return p, fmt.Errorf("%q is no name of a config: it has lower case letters, digits and -", p.Config)
	case len(parts) == 1:
		return p, nil
	case len(parts) != 3:
		return p, errLayout
	}
	p.Name = parts[1]
	switch parts[0] {
	case "roles":
		p.Rank = Role
		if !slices.Contains(Roles, p.Name) {
			return p, fmt.Errorf("there is no role %q; there are: %s", p.Name, strings.Join(Roles, ", "))
		}
	case "nodes":
		p.Rank = Node
	default:
		return p, errLayout
	}
	return p, nil
}
