// Package publish is how a release comes to a node from outside, by HTTP: the two halves of an upload.
//
//	POST   /                publisher: a signed order, and the configuration -> Begun
//	PUT    /ID/manifest     what the content consists of -> Missing
//	GET    /ID              what this node lacks of it -> Missing
//	PUT    /ID/blobs        some of that -> Missing
//	POST   /ID              the order is carried out -> lines of JSON, the last a Result or an error
//	DELETE /ID              the upload is given up
//
// Who sends what does not matter: the order is signed, and names all the rest by its hash. An upload that was
// cut off goes on with what is missing, also under another ID.
package publish

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Begin begins an upload.
type Begin struct {
	Seal []byte `json:"seal"` // credential.Signed.Seal

	// Config is the whole configuration; nil = it stays as it is. The order has its hash.
	Config map[string]string `json:"config"`
}

// Begun is the answer to it.
type Begun struct {
	ID       string `json:"id"`
	Epoch    uint64 `json:"epoch"`    // in force
	Manifest bool   `json:"manifest"` // the node needs the manifest next
	Missing
}

// Missing is what a node lacks of the content, of all that the manifest names.
type Missing struct {
	Blobs []blob.Hash `json:"blobs"`
	Bytes int64       `json:"bytes"` // of those
}

// Line is one line of the answer to the last request. One of its fields is set.
type Line struct {
	Nodes  []Node  `json:"nodes,omitempty"` // how far they are, whenever that has changed
	Result *Result `json:"result,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// Node is how far a node is.
type Node struct {
	Name        string `json:"name"`
	Step        string `json:"step"` // missing, fetched, validated, ready, flipped, confirmed
	Have        uint64 `json:"have"` // bytes of the content
	Size        uint64 `json:"size"`
	Unreachable bool   `json:"unreachable,omitzero"`
	Refused     string `json:"refused,omitzero"` // why it refuses the release
}

// Result is what a publication has led to.
type Result struct {
	Epoch   uint64   `json:"epoch"`   // in force now
	Release uint64   `json:"release"` // that was published
	Rollout uint64   `json:"rollout"` // 0 = nothing had to be changed, or the release is kept for later
	Same    bool     `json:"same"`    // what was published is what is in force: there is no new release
	Restart []string `json:"restart"` // fields for which programs have to be started again
}

// Code says what kind an error is, for programs.
type Code string

// The kinds of errors.
const (
	Failed       Code = "failed"
	Wrong        Code = "wrong"        // the request is none: another version of the program, or damage
	Unauthorized Code = "unauthorized" // the credential, or the signature
	Refused      Code = "refused"      // as things are; nothing has changed
	Conflict     Code = "conflict"     // something else is in force than the publisher knew
	NoRoom       Code = "no_room"
	Busy         Code = "busy" // with other uploads
	NoUpload     Code = "no_upload"
	NoQuorum     Code = "no_quorum"
	Uncertain    Code = "uncertain"   // it may or may not have happened
	Unavailable  Code = "unavailable" // this node can take nothing just now
)

var statuses = map[Code]int{Failed: 500, Wrong: 400, Unauthorized: 403, Refused: 422, Conflict: 409,
	NoRoom: 507, Busy: 429, NoUpload: 404, NoQuorum: 503, Uncertain: 500, Unavailable: 503}

// Error is what a node answers instead of anything else.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"` // a sentence, for people
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// CodeOf returns the kind of an error: Failed if it does not say.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Failed
}

func (e *Error) status() int {
	if s, ok := statuses[e.Code]; ok {
		return s
	}
	return http.StatusInternalServerError
}
