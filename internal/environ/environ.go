// Package environ reads what all programs of a farm read from their environment in the same way.
package environ

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secrets returns the secrets of the farm: from FARM_SECRET, separated by commas, or from the file that FARM_SECRET_FILE
// names, separated by commas or lines. nil if neither is set.
func Secrets() ([]string, error) {
	s, file := os.Getenv("FARM_SECRET"), os.Getenv("FARM_SECRET_FILE")
	switch {
	case s != "" && file != "":
		return nil, errors.New("FARM_SECRET and FARM_SECRET_FILE are both set: use one of them")
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("FARM_SECRET_FILE: %w", err)
		}
		secrets := Fields(string(b))
		if secrets == nil {
			return nil, fmt.Errorf("FARM_SECRET_FILE: there is no secret in %s", file)
		}
		return secrets, nil
	case s != "":
		secrets := Fields(s)
		if secrets == nil {
			return nil, errors.New("FARM_SECRET: there is no secret in it")
		}
		return secrets, nil
	}
	return nil, nil
}

// Fields splits s at commas and line ends and drops what is empty.
func Fields(s string) []string {
	var all []string
	for f := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if f = strings.TrimSpace(f); f != "" {
			all = append(all, f)
		}
	}
	return all
}

// List is a flag of a list: its first use begins the list anew, whatever the environment said, and further ones extend it.
type List struct {
	Items *[]string
	used  bool
}

// String is there for the interface.
func (l *List) String() string { return "" }

// Set takes one use of the flag.
func (l *List) Set(s string) error {
	if !l.used {
		*l.Items = nil
	}
	l.used = true
	*l.Items = append(*l.Items, Fields(s)...)
	return nil
}
