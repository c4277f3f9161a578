package configsync

import "github.com/seed48eb2e21/webfarm/configsync/internal/layer"

// JSONSchema returns what files of the config may hold, as a JSON Schema of draft 2020-12
// (https://json-schema.org/draft/2020-12): for editors, which complete by it and mark what is wrong. A file is of any
// layer. Each field has its default, and says so if a change has its effect when a node is started again. A Secret
// has neither, and is marked writeOnly: it is to be sealed.
//
// What Check takes, it takes. Besides, it takes what no schema can tell: locks that are broken, what Validate or an
// UnmarshalText refuses, the larger limits, numbers in other notations than JSON's in YAML, 1.0 as a whole number, and
// secrets that are sealed for another field. What a file holds in development alone, a secret in plain text, is marked.
//
// It is nil for the zero Config.
func (c Config[T]) JSONSchema() []byte {
	if c.d == nil {
		return nil
	}
	b, err := layer.JSONSchema(c.d.name, c.d.typ, c.d.defaults)
	if err != nil {
		panic("configsync: " + err.Error()) // of text and numbers that NewConfig has read back from a file
	}
	return b
}
