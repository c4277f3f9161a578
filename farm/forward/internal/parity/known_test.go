package parity

import "regexp"

// knownDifferences are the cases that a forwarded request does not pass as yet, each with the reason. One that begins with
// "hangs: " is not run, because it takes a minute.
var knownDifferences = map[string]string{
	"target encoded delimiters":                    rawPath,
	"target fragment":                              rawPath,
	"target brackets and quotes":                   rawPath,
	"target backslash":                             rawPath,
	"target raw utf-8":                             rawPath,
	"target bytes that are no utf-8":               rawPath,
	"target absolute":                              absolute,
	"target absolute https":                        absolute,
	"target absolute with user":                    absolute,
	"target absolute without path":                 absolute,
	"target absolute, query without path":          absolute,
	"target absolute, odd scheme":                  absolute,
	"target opaque":                                absolute,
	"method PRI":                                   "the hop is HTTP/1.1, where this is a request with an empty body",
	"method CONNECT":                               "it is not forwarded: its body has no frame in HTTP/1.1",
	"field Connection names others":                hopByHop,
	"field Connection names what counts":           hopByHop,
	"field typical hop-by-hop":                     hopByHop,
	"field TE gzip":                                hopByHop,
	"field Upgrade without Connection":             hopByHop,
	"field HTTP2-Settings":                         hopByHop,
	"field Trailer without a body":                 "the hop has no trailer where there is no body",
	"field User-Agent empty":                       "the hop does not send an empty one",
	"body length missing":                          "the hop says that it is 0",
	"smuggling: chunked in version 1.0":            "the hop says that the length is 0",
	"body closed by the handler":                   "hangs: the peer waits for a body that nobody asks for",
	"body ends early":                              badBody,
	"body ends early, chunked":                     badBody,
	"body ends early within a chunk":               badBody,
	"chunked, too many extensions":                 badBody,
	"chunked bare LF after the size":               badBody,
	"chunked bare LF after the data":               badBody,
	"chunked CR in an extension":                   badBody,
	"chunked size is negative":                     badBody,
	"chunked size is huge":                         badBody,
	"chunked size is 0x4":                          badBody,
	"chunked data too long":                        badBody,
	"chunked trailer broken":                       badBody,
	"body whole and a closed half":                 "a client that has closed its half counts as gone, whatever the peer has done",
	"answer ReadFrom too much":                     cutBefore,
	"answer length too small":                      cutBefore,
	"answer length too large, nothing written":     cutBefore,
	"answer CrossOriginProtection, Sec-Fetch-Site": "the hop says that the length is 0",
	"answer no request id":                         "the gate sets it again",
	"answer names of the hop":                      "a handler's field of such a name is removed",
	"answer Upgrade in 426":                        hopByHop,
	"answer Connection keep-alive":                 hopByHop,
	"answer Connection close":                      hopByHop,
	"answer Connection names others":               hopByHop,
	"answer hop-by-hop fields":                     hopByHop,
	"answer Transfer-Encoding gzip":                "the hop is HTTP/1.1, whose client knows chunked alone",
	"answer Transfer-Encoding identity":            "the hop is HTTP/1.1, whose client knows chunked alone",
	"answer length twice":                          "the hop is HTTP/1.1, whose client refuses two lengths",
	"answer field with line ends":                  "the peer's handler has written a NUL, which the hop's client refuses",
	"answer Date nil":                              "the peer sends none, and the node that forwards one of its own",
	"answer field not canonical":                   "the hop's client makes names canonical",
	"answer status 0 panics":                       panicked,
	"answer status 1000 panics":                    panicked,
}

// Reasons that several cases have.
const (
	rawPath   = "the hop encodes the target anew"
	cutBefore = "what was not flushed before the end does not arrive, not even the header"
	panicked  = "the node that forwards says that the peer was lost"
	absolute  = "the hop has the target without its origin"
	hopByHop  = "the hop is a proxy of HTTP/1.1, and such a field is about one connection"
	badBody   = "the node that reads the body answers 400, and the handler learns no more than that it ended"
)

// everywhere are the lines that differ for every forwarded request as yet: the hop is HTTP/1.1 with connections of its own.
var everywhere = regexp.MustCompile(`(?m)^(proto|close|connection) .*\n`)

var streams, connections, tunnels []script
