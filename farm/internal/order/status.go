package order

import "net/http"

// statuses are those of HTTP for kinds of errors; what is not among them is a fault of the node.
var statuses = map[string]int{
	KindInvalid:      http.StatusBadRequest,
	KindUnauthorized: http.StatusForbidden,
	KindMissing:      http.StatusNotFound,
	KindNoUpload:     http.StatusNotFound,
	KindBusy:         http.StatusConflict,
	KindConflict:     http.StatusPreconditionFailed, // the precondition is the epoch that whoever asks has looked at
	KindOverwrite:    http.StatusPreconditionFailed,
	KindRefused:      http.StatusUnprocessableEntity,
	KindReturned:     http.StatusUnprocessableEntity,
	KindOverloaded:   http.StatusServiceUnavailable,
	KindNoQuorum:     http.StatusServiceUnavailable,
	KindStopping:     http.StatusServiceUnavailable,
	KindUncertain:    http.StatusServiceUnavailable,
	KindNoRoom:       http.StatusInsufficientStorage,
	KindFailed:       http.StatusInternalServerError,
}

// Status returns the status of HTTP for an error, which is for those who look at nothing else: farmctl goes by the
// kind.
func (e *ReleaseError) Status() int {
	if s, ok := statuses[e.Kind]; ok {
		return s
	}
	return http.StatusInternalServerError
}
