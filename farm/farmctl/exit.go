package farmctl

import (
	"errors"
	"flag"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
)

// Exit codes; doc.go says them to people.
const (
	codeDone          = 0
	codeFailed        = 1
	codeUsage         = 2
	codeUnreachable   = 3
	codeNotAuthorized = 4
	codeRefused       = 5
	codeNoQuorum      = 6
	codeDamaged       = 7
	codeInterrupted   = 8
)

var (
	errUsage    = errors.New("usage")
	errDeclined = errors.New("not confirmed, so nothing was done")
)

// usageError is an error about the command line or the environment.
type usageError string

func (e usageError) Error() string        { return string(e) }
func (e usageError) Is(target error) bool { return target == errUsage }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// codeOf returns the exit code for an error. The first line that fits counts.
func codeOf(err error) int {
	for _, c := range []struct {
		is   error
		code int
	}{
		{flag.ErrHelp, codeDone},
		{errUsage, codeUsage},
		{admin.ErrNotAuthorized, codeNotAuthorized},
		{admin.ErrUnreachable, codeUnreachable},
		{backup.ErrDamaged, codeDamaged},
		{backup.ErrFormat, codeDamaged},
		{admin.ErrNoQuorum, codeNoQuorum},
		{admin.ErrRefused, codeRefused},
		{errWrong, codeRefused},
		{admin.ErrNoMember, codeRefused},
		{admin.ErrNotNow, codeRefused},
		{admin.ErrUnsupported, codeRefused},
		{admin.ErrInterrupted, codeInterrupted},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	if err != nil {
		return codeFailed
	}
	return codeDone
}
