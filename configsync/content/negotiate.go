package content

import (
	"net/http"
	"strings"
)

// coding is a content coding that files may be served in.
type coding uint8

const (
	identity coding = iota
	gzipped
	zstandard
	brotli
	codings
)

func codingOf(encoding string) coding {
	switch encoding {
	case "":
		return identity
	case "gzip":
		return gzipped
	case "zstd":
		return zstandard
	}
	return brotli
}

// wanted is what Accept-Encoding says of each coding (RFC 9110, 12.5.3): a weight in thousandths, or unsaid.
type wanted struct {
	weight [codings]int16
	others int16 // the weight of *
}

const unsaid = -1

// of returns the weight of a coding, and whether it was named. What is neither named nor meant by * is not
// acceptable, except the identity, which is then the last choice.
func (w *wanted) of(c coding) (weight int16, named bool) {
	switch {
	case w.weight[c] != unsaid:
		return w.weight[c], true
	case w.others != unsaid:
		return w.others, false
	case c == identity:
		return 1, false
	}
	return 0, false
}

// readWanted reads the Accept-Encoding of a request. Without one, the identity is chosen: who says nothing
// may be unable to read anything else.
func readWanted(h http.Header) (w wanted) {
	w = wanted{weight: [codings]int16{unsaid, unsaid, unsaid, unsaid}, others: unsaid}
	for _, line := range h["Accept-Encoding"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ",")
			w.add(part)
		}
	}
	return w
}

func (w *wanted) add(part string) {
	name, params, _ := strings.Cut(part, ";")
	weight, ok := readWeight(params)
	if !ok {
		return // as if it were not there
	}
	switch name = strings.Trim(name, " \t"); {
	case name == "*":
		w.others = weight
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
		w.weight[gzipped] = weight
	case strings.EqualFold(name, "zstd"):
		w.weight[zstandard] = weight
	case strings.EqualFold(name, "br"):
		w.weight[brotli] = weight
	case strings.EqualFold(name, "identity"):
		w.weight[identity] = weight
	}
}

// readWeight reads ";q=0.5" without its semicolon, in thousandths.
func readWeight(params string) (weight int16, ok bool) {
	params = strings.Trim(params, " \t")
	if params == "" {
		return 1000, true
	}
	if len(params) < 3 || params[0]|0x20 != 'q' || params[1] != '=' {
		return 0, false
	}
	whole, digits := params[2], params[3:]
	if whole != '0' && whole != '1' || len(digits) > 4 || digits != "" && digits[0] != '.' {
		return 0, false
	}
	weight = int16(whole-'0') * 1000
	scale := int16(100)
	for i := 1; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		weight += int16(digits[i]-'0') * scale
		scale /= 10
	}
	return weight, weight <= 1000
}
