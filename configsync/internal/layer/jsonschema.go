package layer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// sectionPath is what badSection takes, as a regular expression that Go and ECMA-262 read alike: parts that are not
// empty, . or .., between slashes.
const sectionPath = `^(/([^./*?{}%#\\][^/*?{}%#\\]*|\.[^./*?{}%#\\][^/*?{}%#\\]*|\.\.[^/*?{}%#\\]+))+/$`

// JSONSchema returns what Read takes of a config's files, whichever layer they are.
func JSONSchema(config string, typ *schema.Type, defaults *tree.Node) ([]byte, error) {
	root, part := typ.JSONSchema(defaults)
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = config
	root.Description = fmt.Sprintf("Configuration %[1]q: %[1]s.yaml, and the files of that name below roles/ and nodes/.",
		config)
	root.Properties[wordPaths] = &schema.JSONSchema{
		Type: []string{"object"}, Most: MaxSections, Others: part,
		Names:       &schema.JSONSchema{Pattern: sectionPath, MaxLength: maxSection},
		Description: "Fields for requests below paths of URLs, such as /shop/.",
	}
	root.Properties[wordLocked] = &schema.JSONSchema{
		Type:        []string{"array"},
		Items:       &schema.JSONSchema{Type: []string{"string"}, Pattern: beginsWith(typ.Names())},
		Description: "Fields that no later layer may set, such as [prices, limits.max].",
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return b.Bytes(), err
}

// beginsWith returns a regular expression for paths to fields within those of names. What a path has in quotes is not
// looked into.
func beginsWith(names []string) string {
	var plain []string
	for _, name := range names {
		if p := (tree.Path{name}).String(); !strings.HasPrefix(p, `"`) {
			plain = append(plain, regexp.QuoteMeta(p))
		}
	}
	return `^("|(` + strings.Join(plain, "|") + `)(\.|$))`
}
