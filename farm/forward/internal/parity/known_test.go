package parity

// knownDifferences are the cases in which a forwarded request differs, each with the reason.
var knownDifferences = map[string]string{
	"answer Connection keep-alive":           ownClose,
	"answer Connection names others":         ownClose,
	"hijack reads what was sent early":       notBuffered,
	"pipelined, limited body":                untoldLimit,
	"deadline: write, past":                  asynchronous,
	"deadline: server's for writing is over": asynchronous,
}

// Reasons. farm/forward/DESIGN.md says more.
const (
	asynchronous = "the client's connection is another node's: a write that it does not take fails later"
	ownClose     = "a draining node ends the client's connection: its own field takes the place of the handler's"
	notBuffered  = "the bytes are there, but not buffered as yet when the connection is taken over"
	untoldLimit  = "http.MaxBytesReader tells net/http's own writer alone that it has refused a body: " +
		"the connection is kept"
)

// knownH2 are the cases of HTTP/2 in which a forwarded request differs, each with the reason.
var knownH2 = map[string]string{
	"answer length too small": "net/http notices it in HTTP/2 only after it has sent the header",
}
