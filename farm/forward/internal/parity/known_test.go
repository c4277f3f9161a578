package parity

import "regexp"

// knownDifferences are the cases in which a forwarded request differs, each with the reason.
var knownDifferences = map[string]string{
	"answer Connection keep-alive":   ownClose,
	"answer Connection close":        ownClose,
	"answer Connection names others": ownClose,
	"method CONNECT":                 "it is not forwarded: its body has no frame in HTTP/1.1",
}

// ownClose is why some differ.
const ownClose = "a draining node ends the client's connection, and its own field stands in the place of the handler's"

// everywhere are the lines that differ for every forwarded request as yet: the hop is HTTP/1.1 with connections of its own.
var everywhere = regexp.MustCompile(`(?m)^(connection) .*\n`)
