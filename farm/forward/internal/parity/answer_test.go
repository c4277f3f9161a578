package parity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
)

// answers are what a client has received on a connection of HTTP/1, with what must differ between two ways
// taken out:
//
//   - the values of Date and X-Request-Id: they are of the moment and of the request,
//   - the order of fields with different names, which means nothing (RFC 9110 section 5.3),
//   - the boundaries of chunks: they depend on how reading and writing meet,
//   - Connection: close in an interim response, where it means nothing, and a second one in a final response,
//   - how much of a body arrives that is cut off, if a case says so: that is a matter of buffers.
//
// All else is compared to the byte.
type answers struct {
	statuses []string // of the final responses, and of the interim ones
	text     string
}

// answersOf takes received apart. heads tells for each final response whether it answers a HEAD, the last one
// for all that follow.
func answersOf(received []byte, heads []bool, anyLength bool) answers {
	var a answers
	var out strings.Builder
	in := bufio.NewReaderSize(strings.NewReader(string(received)), 1<<20)
	for i := 0; ; {
		if _, err := in.Peek(1); err != nil {
			break
		}
		status, h, err := readHead(in)
		_, code, _ := strings.Cut(status, " ")
		code, _, _ = strings.Cut(code, " ")
		const last = "  Connection: close\n"
		if h = strings.Replace(h, last+last, last, 1); strings.HasPrefix(code, "1") && code != "101" {
			h = strings.Replace(h, last, "", 1)
		}
		fmt.Fprintf(&out, "%s\n%s", status, h)
		if err != nil {
			fmt.Fprintf(&out, "head cut off: %v\n", err)
			break
		}
		a.statuses = append(a.statuses, code)
		if code == "101" {
			rest, _ := io.ReadAll(in)
			fmt.Fprintf(&out, "tunnel %s\n", short(fmt.Sprintf("%q", rest)))
			break
		}
		if strings.HasPrefix(code, "1") {
			continue
		}
		head := len(heads) > 0 && heads[min(i, len(heads)-1)]
		i++
		if head || code == "204" || code == "304" {
			continue
		}
		if !readBody(&out, in, h, anyLength) {
			break
		}
	}
	a.text = out.String()
	return a
}

// readHead reads a status line and a header, which it sorts and cleans.
func readHead(in *bufio.Reader) (status, header string, err error) {
	if status, err = line(in); err == nil {
		header, err = readFields(in)
	}
	return status, header, err
}

// readFields reads the lines up to an empty one.
func readFields(in *bufio.Reader) (string, error) {
	var lines []string
	var err error
	for err == nil {
		var l string
		if l, err = line(in); l == "" {
			break
		}
		name, value, _ := strings.Cut(l, ":")
		switch name {
		case "Date", "X-Request-Id":
			l = name + ": ..."
			if len(value) < 10 {
				l = fmt.Sprintf("%s is %q", name, value)
			}
		}
		lines = append(lines, "  "+short(l)+"\n")
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return strings.Join(lines, ""), err
}

func line(in *bufio.Reader) (string, error) {
	l, err := in.ReadString('\n')
	if err == nil && !strings.HasSuffix(l, "\r\n") {
		err = errors.New("bare line feed")
	}
	return strings.TrimRight(l, "\r\n"), err
}

// readBody writes the body that follows the header h, and reports whether another answer can follow.
func readBody(out *strings.Builder, in *bufio.Reader, h string, anyLength bool) bool {
	tell := func(kind string, b []byte, err error) bool {
		if err != nil && anyLength {
			b = nil
		}
		fmt.Fprintf(out, "body %s %s %s\n", kind, short(fmt.Sprintf("%q", b)), failure(err))
		return err == nil
	}
	if strings.Contains(h, "  Transfer-Encoding: chunked\n") {
		b, err := io.ReadAll(httputil.NewChunkedReader(in))
		if !tell("chunked", b, err) {
			return false
		}
		trailer, err := readFields(in)
		fmt.Fprintf(out, "trailer %s\n%s", failure(err), trailer)
		return err == nil
	}
	if _, after, ok := strings.Cut(h, "  Content-Length: "); ok {
		l, _, _ := strings.Cut(after, "\n")
		n, err := strconv.Atoi(l)
		if err != nil {
			return tell("of bad length", nil, err)
		}
		b, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if len(b) < n {
			err = io.ErrUnexpectedEOF
		}
		return tell("of known length", b, err)
	}
	b, err := io.ReadAll(in)
	tell("to the end", b, err)
	return false
}
