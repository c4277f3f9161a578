// Package session keeps HTTP sessions: typed values that belong to one visitor, in memory, on every node of a farm.
//
//	var visits = session.NewKey[int]("visits")
//
//	func page(w http.ResponseWriter, r *http.Request) {
//		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
//		...
//	}
//
//	m, err := session.New(session.NewMemory(), session.Config{})
//	http.ListenAndServeTLS(addr, cert, key, m.Handler(http.HandlerFunc(page)))
//
// # Values
//
// A [Key] is the name and the type of one value; declare each once. Its methods take the request's context. Get and Or
// read, Set and Delete change, Update computes a new value from the old one, Take reads and removes. Which to use:
//
//   - Set, where the new value does not depend on the old: a theme, a form. Of two requests that set one key, the one
//     committed last stays.
//   - Update, where it does: a counter, a cart. No change is lost, whatever other requests and nodes do; the function
//     may run several times.
//   - Take, for what must happen once: a message to be shown on the next page, a one-time code.
//
// A request reads its session as it was when the request came in, plus its own changes. Requests of one session run side
// by side, never waiting for each other, and never undo each other's changes to different keys.
//
// Values are stored as msgpack: exported fields, with the tag `msgpack:"name"`. NewKey panics for types that would not
// come back as they went in. A time.Time comes back in UTC. A stored value that does not fit the type any more, after a
// new version of the program changed it, counts as absent.
//
// # When changes are committed
//
// Set and Delete are buffered, and committed together before the response's header is sent. If that fails, the client
// gets an error page instead of the response: what it sees as done is done. [Session.Save] commits at once; Update, Take
// and [Session.Destroy] always do. A panic drops what is buffered. A client that hangs up changes nothing about it.
//
// A Set after the header was sent, in an event stream for example, is committed at once, a Delete when the handler returns. A new
// session cannot be made any more then, because its cookie cannot be sent: ErrHeadersSent. Nor can the client be told of the
// change: it waits until every node has it, and is ErrLate if one may not. [Session.Discard] drops what is buffered, for
// whoever makes a page of a panic or an error. Taking the connection over (Hijack)
// commits as well; a handler that does so before it has called WriteHeader answers for the header itself, and a new
// session's cookie is in the ResponseWriter's Header by then.
//
// # The session itself
//
// [From] returns it: its name for logs, whether it exists, its end. There is no session until the first value is
// committed; requests without one cost next to nothing. It ends by Destroy, after Config.Idle without a request, and after
// Config.Absolute in any case. No change brings an ended session back: a request that was still running gets ErrEnded, and
// what it had buffered is dropped. Whoever comes back later with the old token starts anew. So does the request that has
// called Destroy itself: what it sets afterwards begins a new session. When somebody logs in, [Session.Renew] gives the session
// a new token.
//
// [Session.Done] says when the session has ended, on whatever node, for event streams and WebSockets that must not outlive a
// logout.
//
// All sessions together take no more memory than Config.Limits.Total. When that is reached, new ones are refused: ErrFull.
//
// # Stores
//
// [NewMemory] is for one process and for tests. [NewReplicated] is for a farm: all nodes hold all sessions, reads are
// local, changes go through a replicated log. Behind it a visitor may reach another node with each request and still reads
// what it wrote: a second, short-lived cookie tells the node how new the session is that the client has seen. A node that
// cannot know a session's present state answers 503 with Retry-After; it never takes "I cannot know" for "empty".
//
// Package sessiontest has a kit for testing handlers, and the conformance suite for stores.
package session
