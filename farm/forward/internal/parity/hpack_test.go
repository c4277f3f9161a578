package parity

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// What a client needs of HPACK (RFC 7541) if it allows the server no dynamic table: fields are sent as
// literals, and received as literals or from the static table, with Huffman's code or without.

// staticFields are those of RFC 7541, appendix A.
var staticFields = strings.Split(""+
	":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|"+
	":status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status=500|"+
	"accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|"+
	"access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|"+
	"content-encoding|content-language|content-length|content-location|content-range|"+
	"content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|"+
	"if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|"+
	"proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|"+
	"strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate", "|")

// huffmanLengths are the lengths in bits of the codes of RFC 7541, appendix B, for the bytes from 0: "a" is
// 5. The codes follow from them: they are counted up, from the shortest to the longest.
const huffmanLengths = "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhf" +
	"ibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix" +
	"prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs" +
	"vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv"

var errHPACK = errors.New("bad HPACK")

// putFields encodes names and values, in turn.
func putFields(b []byte, fields ...string) []byte {
	for i := 0; i < len(fields); i += 2 {
		b = append(b, 0x10) // a literal that is never indexed
		b = putText(b, fields[i])
		b = putText(b, fields[i+1])
	}
	return b
}

func putText(b []byte, s string) []byte {
	return append(putNumber(b, 0, 7, len(s)), s...)
}

// putNumber encodes n with a prefix of some bits in a byte whose other bits are first.
func putNumber(b []byte, first byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// fieldsOf decodes a block into names and values, in turn.
func fieldsOf(b []byte) (fields []string, err error) {
	for len(b) > 0 {
		var name, value string
		switch c := b[0]; {
		case c&0x80 != 0:
			name, value, b, err = static(b, 7)
		case c&0xe0 == 0x20: // the size of the dynamic table
			if _, b, err = number(b, 5); err != nil {
				return nil, err
			}
			continue
		default:
			bits := 4
			if c&0x40 != 0 {
				bits = 6
			}
			if name, _, b, err = static(b, bits); err == nil && name == "" {
				name, b, err = textOf(b)
			}
			if err == nil {
				value, b, err = textOf(b)
			}
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, name, value)
	}
	return fields, nil
}

// static reads a number of the static table; 0 is an empty name.
func static(b []byte, bits int) (name, value string, rest []byte, err error) {
	n, rest, err := number(b, bits)
	if err != nil || n > len(staticFields) {
		return "", "", nil, errHPACK
	}
	if n > 0 {
		name, value, _ = strings.Cut(staticFields[n-1], "=")
	}
	return name, value, rest, nil
}

func number(b []byte, bits int) (n int, rest []byte, err error) {
	most := 1<<bits - 1
	n, b = int(b[0])&most, b[1:]
	if n < most {
		return n, b, nil
	}
	for shift := 0; len(b) > 0 && shift < 28; shift += 7 {
		c := b[0]
		b = b[1:]
		n += int(c&0x7f) << shift
		if c < 0x80 {
			return n, b, nil
		}
	}
	return 0, nil, errHPACK
}

func textOf(b []byte) (s string, rest []byte, err error) {
	if len(b) == 0 {
		return "", nil, errHPACK
	}
	coded := b[0]&0x80 != 0
	n, b, err := number(b, 7)
	if err != nil || n > len(b) {
		return "", nil, errHPACK
	}
	if !coded {
		return string(b[:n]), b[n:], nil
	}
	s, err = huffman(b[:n])
	return s, b[n:], err
}

// code is one of Huffman's: so many bits.
type code struct{ bits, value int }

var huffmanCodes = func() map[code]byte {
	codes := make(map[code]byte)
	next, last := 0, 5
	for bits := 5; bits <= 30; bits++ {
		for c := range 256 {
			if int(huffmanLengths[c])-'a'+5 == bits {
				next <<= bits - last
				last = bits
				codes[code{bits, next}] = byte(c)
				next++
			}
		}
	}
	return codes
}()

func huffman(b []byte) (string, error) {
	var out []byte
	var c code
	for _, x := range b {
		for i := 7; i >= 0; i-- {
			c = code{c.bits + 1, c.value<<1 | int(x>>i)&1}
			if d, ok := huffmanCodes[c]; ok {
				out, c = append(out, d), code{}
			}
		}
	}
	if c.bits > 7 || c.value != 1<<c.bits-1 {
		return "", errHPACK
	}
	return string(out), nil
}

// The examples of RFC 7541, appendix C.4.1 and C.6.1.
func TestHPACK(t *testing.T) {
	for coded, want := range map[string]string{
		"828684418cf1e3c2e5f23a6ba0ab90f4ff": ":method GET :scheme http :path / :authority www.example.com",
		"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad1718" +
			"63c78f0b97c8e9ae82ae43d3": ":status 302 cache-control private " +
			"date Mon, 21 Oct 2013 20:13:21 GMT location https://www.example.com",
		hex.EncodeToString(putFields(nil, "x-a", "1", "x-long", strings.Repeat("b",
			3000))): "x-a 1 x-long " + strings.Repeat("b", 3000),
	} {
		b, err := hex.DecodeString(coded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fieldsOf(b)
		if text := strings.Join(got, " "); err != nil || text != want {
			t.Errorf("%s: %q, %v; want %q", coded, text, err, want)
		}
	}
}
