package session

// Discard drops the Sets and Deletes of this request that have not been committed: what it reads afterwards is what the
// session holds. For a handler that fails half-way, and for a middleware that makes a panic or an error a page of its own:
// with nothing to commit, no half of what the handler meant to do is stored.
//
// What Update, Take, Save and Destroy have done stays done. A change that is on its way to the store, or whose outcome is unknown, may
// have been made; it is not sent again. The request goes on: what it changes after Discard is committed as ever. It
// is no error to Discard when there is nothing to drop.
func (s *Session) Discard() { s.dropChanges() }
