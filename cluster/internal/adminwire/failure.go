package adminwire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/backup"
)

// What a node says when it does not do what an operator asks.
var (
	ErrRefused     = errors.New("refused")
	ErrNoQuorum    = errors.New("no quorum")
	ErrNoMember    = errors.New("no such member")
	ErrUnsupported = errors.New("not supported by this version")
	ErrInterrupted = errors.New("the connection ended before the answer")
	ErrNotNow      = errors.New("not at the moment")
)

// Failure is an error on its way to an operator.
type Failure struct {
	Code string `json:"code"`
	Text string `json:"text"` // the whole sentence

	is error
}

// codes is the one table between codes and errors. What is not in it is "failed".
var codes = map[string]error{
	"refused":     ErrRefused,
	"no-quorum":   ErrNoQuorum,
	"no-member":   ErrNoMember,
	"unsupported": ErrUnsupported,
	"interrupted": ErrInterrupted,
	"not-now":     ErrNotNow,
	"damaged":     backup.ErrDamaged,
	"no-backup":   backup.ErrFormat,
}

// Failed returns a failure with a sentence of its own, which wraps the error is.
func Failed(is error, format string, args ...any) error {
	return &Failure{Text: fmt.Sprintf(format, args...), is: is}
}

func (f *Failure) Error() string { return f.Text }

// Unwrap returns what kind of failure it is; nil for one without a name.
func (f *Failure) Unwrap() error { return f.is }

func failureOf(err error) *Failure {
	for code, is := range codes {
		if errors.Is(err, is) {
			return &Failure{Code: code, Text: err.Error()}
		}
	}
	return &Failure{Code: "failed", Text: err.Error()}
}

func parseFailure(b []byte) error {
	f := &Failure{}
	if err := json.Unmarshal(b, f); err != nil || f.Text == "" {
		return fmt.Errorf("a failure that says nothing: %w", ErrMalformed)
	}
	f.is = codes[f.Code]
	return f
}
