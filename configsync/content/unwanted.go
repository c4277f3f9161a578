package content

import (
	"fmt"
	"path"
	"strings"
)

// unwanted says why a file or a folder is left out, or "".
func (s *surveyor) unwanted(p string) string {
	switch {
	case matchesAny(s.cfg.Exclude, p):
		return "it is excluded"
	case p == "public/.well-known" || matchesAny(s.cfg.Include, p):
		return ""
	}
	return unwantedName(path.Base(p))
}

// unwantedName says why nobody means to publish what has such a name, or "".
func unwantedName(name string) string {
	lower := strings.ToLower(name)
	switch lower {
	case "node_modules":
		return "it is what a build needs, not what it makes"
	case "thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db":
		return "it is of a desktop"
	case "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519":
		return "it looks like a private key"
	case "web.config", "global.asax", "app_data", "app_code", "app_browsers", "app_globalresources",
		"app_localresources", "app_webreferences":
		return "it is ASP.NET's own, and IIS would not serve it"
	}
	switch path.Ext(lower) {
	case ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx":
		return "it looks like a private key"
	case ".credential":
		return "it looks like a credential"
	case ".mdf", ".ldf":
		return "it looks like a database"
	case ".bak", ".orig", ".rej", ".swp", ".swo", ".tmp":
		return "it looks like a backup or a temporary file"
	}
	switch {
	case strings.HasSuffix(name, "~"), len(name) > 2 && name[0] == '#' && name[len(name)-1] == '#':
		return "it looks like the backup of an editor"
	case name[0] == '.':
		return "its name begins with a dot"
	}
	return ""
}

// nobodyWants reports whether the name of a path, or of a folder that it is in, is one that nobody means to
// publish.
func nobodyWants(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if name != "" && name != ".well-known" && unwantedName(name) != "" {
			return true
		}
	}
	return false
}

// matchesAny reports whether one of the patterns is of this path or, without a slash, of this name.
func matchesAny(patterns []string, p string) bool {
	for _, pattern := range patterns {
		subject := p
		if !strings.Contains(pattern, "/") {
			subject = path.Base(p)
		}
		if ok, _ := path.Match(pattern, subject); ok {
			return true
		}
	}
	return false
}

func checkPatterns(lists ...[]string) error {
	for _, patterns := range lists {
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil {
				return fmt.Errorf("content: %w: %q", err, p)
			}
		}
	}
	return nil
}
