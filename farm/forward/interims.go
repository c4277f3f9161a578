package forward

import (
	"maps"
	"net/http"
	"slices"
)

// interims are the 1xx answers that a client has got. A request that is tried again may bring the same ones
// once more.
type interims struct {
	before, now []interim // of the attempts before, and of this one
}

type interim struct {
	status int
	header http.Header
}

// fresh reports whether the client has not got this answer by an attempt before, and notes it.
func (i *interims) fresh(status int, header http.Header) bool {
	same := func(old interim) bool {
		return old.status == status && maps.EqualFunc(old.header, header, slices.Equal[[]string])
	}
	if slices.ContainsFunc(i.before, same) {
		return false
	}
	i.now = append(i.now, interim{status, header})
	return true
}

// nextAttempt begins the next attempt.
func (i *interims) nextAttempt() {
	i.before, i.now = append(i.before, i.now...), nil
}
