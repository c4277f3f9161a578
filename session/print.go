package session

import (
	"fmt"
	"io"
)

// What an application can hold and print, by mistake or in a dump of its own, shows nothing of what it leads to: tokens, values, keys
// that sign. Session, exchange and writer have methods of this kind too, beside their types.

// Format writes what it is, whatever the verb.
func (m *Manager) Format(f fmt.State, _ rune) { io.WriteString(f, "session manager") }

// Format writes what it is, whatever the verb.
func (m *memory) Format(f fmt.State, _ rune) { io.WriteString(f, "session store in memory") }

// Format writes what it is, whatever the verb.
func (r *replicated) Format(f fmt.State, _ rune) { io.WriteString(f, "replicated session store") }
