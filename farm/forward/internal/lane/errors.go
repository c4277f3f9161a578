package lane

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

var (
	// errClosed says that the Client was closed, or that its peer has gone.
	errClosed = errors.New("the peer left or died")

	errProtocol    = errors.New("protocol error between peers")
	errCanceled    = errors.New("the client or its node gave the request up")
	errLost        = errors.New("connection to the peer lost")
	errSilent      = errors.New("no sign of life from the peer")
	errFinished    = errors.New("the handler of this request has returned")
	errInterrupted = errors.New("interrupted") // a wait for a frame ended because somebody asked for it
)

func malformed(what string) error { return fmt.Errorf("%w: malformed %s", errProtocol, what) }

// Codes of RESET frames.
const (
	resetCanceled = iota // the dialler has given the exchange up
	resetAborted         // the handler panicked with http.ErrAbortHandler
	resetPanic           // the handler panicked
	resetBody            // the request could not be read
	resetStopped         // the rest of the answer could not be sent
)

// How a request's body ended, as it travels.
const (
	bodyWhole  = iota
	bodyCut    // io.ErrUnexpectedEOF
	bodyLate   // os.ErrDeadlineExceeded
	bodyTooBig // *http.MaxBytesError
	bodyOther  // an error with this text
)

// putBodyError appends how a body ended.
func putBodyError(b []byte, err error) []byte {
	if err == nil {
		return append(b, bodyWhole)
	}
	var tooBig *http.MaxBytesError // which escapes
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return append(b, bodyCut)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return append(b, bodyLate)
	case errors.As(err, &tooBig):
		b = append(b, bodyTooBig)
		return putVarint(b, tooBig.Limit)
	}
	return putString(append(b, bodyOther), err.Error())
}

// bodyError returns the error with which the body ended, nil if it is whole.
func (d *decoder) bodyError() error {
	switch d.byte() {
	case bodyWhole:
		return nil
	case bodyCut:
		return io.ErrUnexpectedEOF
	case bodyLate:
		return os.ErrDeadlineExceeded
	case bodyTooBig:
		return &http.MaxBytesError{Limit: d.varint()}
	}
	return errors.New(d.string())
}
