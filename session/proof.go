package session

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// What a client sends to prove that a session is its own, token and index, goes no further than the middleware: whoever prints
// the request that a handler gets, its header or its cookies, prints nothing that opens a session. The layers outside keep the
// header that came, since they may have to pass the request on.

// withoutProof returns a copy of h that lacks tokens and indexes, however they travel. room is where the lines of its Cookie field
// may live, to spare an allocation.
func (m *Manager) withoutProof(h http.Header, room *[1]string) http.Header {
	clean := maps.Clone(h)
	if m.cfg.Header != "" {
		delete(clean, m.cfg.Header)
		delete(clean, IndexHeader)
	}
	kept := room[:0]
	for _, line := range h["Cookie"] {
		if rest := m.otherPairs(line); rest != "" || line == "" {
			kept = append(kept, rest)
		}
	}
	if len(kept) == 0 {
		delete(clean, "Cookie")
	} else {
		clean["Cookie"] = kept
	}
	return clean
}

// otherPairs returns a line of the Cookie field without our cookies. The others stay as they are, in their order.
func (m *Manager) otherPairs(line string) string {
	var kept joined
	from := 0 // where the pairs begin that stay together
	for pair, end := range pairs(line) {
		if m.names(pair) {
			kept.add(strings.TrimSuffix(line[from:end-len(pair)], ";"), len(line))
			from = min(end+1, len(line))
		}
	}
	if from == 0 {
		return line
	}
	kept.add(line[from:], len(line))
	return kept.String()
}

// joined is a line of pairs that is put together from parts. One part alone is not copied; of more, each is copied once.
type joined struct {
	one  string
	more strings.Builder // empty as long as there is one part
}

// add adds a part of a line that is room bytes long.
func (j *joined) add(part string, room int) {
	switch {
	case part == "":
	case j.one == "":
		j.one = strings.TrimLeft(part, " \t;")
	default:
		if j.more.Len() == 0 {
			j.more.Grow(room)
			j.more.WriteString(j.one)
		}
		j.more.WriteByte(';')
		j.more.WriteString(part)
	}
}

func (j *joined) String() string {
	if j.more.Len() > 0 {
		return j.more.String()
	}
	return j.one
}

// pairs yields what stands between the semicolons of a line of the Cookie field, and where it ends.
func pairs(line string) func(yield func(pair string, end int) bool) {
	return func(yield func(string, int) bool) {
		for at := 0; at < len(line); {
			end := strings.IndexByte(line[at:], ';')
			if end < 0 {
				end = len(line)
			} else {
				end += at
			}
			if !yield(line[at:end], end) {
				return
			}
			at = end + 1
		}
	}
}

// names reports whether a pair is one of our cookies, also in a spelling that net/http accepts and this package does not.
func (m *Manager) names(pair string) bool {
	pair = strings.TrimLeft(pair, " \t")
	return isNamed(pair, m.cfg.Cookie.Name) || isNamed(pair, m.index)
}

func isNamed(pair, name string) bool {
	if !strings.HasPrefix(pair, name) {
		return false
	}
	rest := strings.TrimLeft(pair[len(name):], " \t")
	return rest == "" || rest[0] == '='
}

// Attach gives out, a request to another server that knows the same sessions, what the client has sent to prove its session. The
// handler's own request lacks it, so that nobody prints it by mistake. It is for applications that pass a request on by
// themselves:
//
//	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
//		p.SetURL(backend)
//		session.From(p.In.Context()).Attach(p.Out)
//	}}
//
// A session that this request has begun, renewed or ended is not known to the client yet, nor to that server by what the client
// sent. If the client has sent nothing, out stays as it is.
func (s *Session) Attach(out *http.Request) {
	if !s.proves {
		return
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if name := s.m.cfg.Header; name != "" {
		for _, name := range []string{name, IndexHeader} {
			if values, ok := s.r.Header[name]; ok {
				out.Header[name] = slices.Clone(values)
			}
		}
	}
	var ours []string
	for _, line := range s.r.Header["Cookie"] {
		for pair := range pairs(line) {
			if s.m.names(pair) {
				ours = append(ours, strings.Trim(pair, " \t"))
			}
		}
	}
	if len(ours) > 0 { // one line: net/http's clients send several, which not all servers join
		line := strings.Join(ours, "; ")
		if others := strings.Join(out.Header["Cookie"], "; "); others != "" {
			line = others + "; " + line
		}
		out.Header["Cookie"] = []string{line}
	}
}
