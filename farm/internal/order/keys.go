package order

import (
	"encoding/json"
	"strings"
)

// Keys is what an operator may want of the keys of a farm. Any node does it for all.
type Keys struct {
	Do      string `json:"do"` // Rotate, Proceed or Revoke
	Purpose string `json:"purpose"`

	// From and To are the ids of the keys to revoke, both included. For Rotate, To is the newest id there is;
	// for Proceed, that of the key.
	From uint32 `json:"from,omitempty"`
	To   uint32 `json:"to"`
}

// The values of Keys.Do.
const (
	Rotate  = "rotate"  // have a new key sign once all members have it
	Proceed = "proceed" // have a pending key sign now
	Revoke  = "revoke"  // end keys
)

const keysWord = "keys "

// Word returns the order as cluster/admin.Client.Order takes it.
func (k Keys) Word() string {
	b, err := json.Marshal(k)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return keysWord + string(b)
}

// ParseKeys reads what Word wrote; false if it is another order, or of a newer program.
func ParseKeys(word string) (k Keys, ok bool) {
	text, ok := strings.CutPrefix(word, keysWord)
	return k, ok && json.Unmarshal([]byte(text), &k) == nil
}
