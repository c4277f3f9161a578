package credential

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	blockType = "WEBFARM PUBLISHER CREDENTIAL"
	purpose   = "publish"
	maxFile   = 16 << 10 // bytes
	maxURLs   = 16
)

// The headers of the block. Each is there once, but for URLs.
const (
	headFarm     = "Farm"
	headName     = "Name"
	headID       = "Id"
	headPurpose  = "Purpose"
	headNotAfter = "Not-After"
	headURLs     = "Urls"
)

// Encode returns the key as the text of a file: lines that say what it is, and a PEM block with the key. Keep
// it as you would keep a password.
func (k *Key) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Whoever has this may publish to the farm %s, until %s.\n", k.Farm, day(k.NotAfter))
	fmt.Fprintf(&b, "# Keep it secret (chmod 600). If it is lost: farmctl credential revoke %s\n", k.ID())
	b.Write(k.block())
	return b.Bytes()
}

func (k *Key) block() []byte {
	head := map[string]string{headFarm: k.Farm, headName: k.Name, headID: k.ID(), headPurpose: purpose,
		headNotAfter: k.NotAfter.UTC().Format(time.RFC3339)}
	if len(k.URLs) > 0 {
		head[headURLs] = strings.Join(k.URLs, " ")
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Headers: head, Bytes: k.secret.Seed()})
}

// Parse reads what Encode writes. Lines before the block do not matter if they begin with #. The error is
// ErrFormat.
func Parse(text []byte) (*Key, error) {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if len(text) > maxFile {
		return nil, wrongFile("it has more than %d bytes", maxFile)
	}
	begin := bytes.Index(text, []byte("-----BEGIN "))
	if begin < 0 {
		return nil, wrongFile("it has no line -----BEGIN %s-----", blockType)
	}
	for line := range strings.Lines(string(text[:begin])) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
			return nil, wrongFile("before the block there are only lines that begin with #")
		}
	}
	block, rest := pem.Decode(text[begin:])
	switch {
	case block == nil:
		return nil, wrongFile("the block is damaged, or cut off; was all of it copied, with its lines?")
	case block.Type != blockType:
		return nil, wrongFile("it is a %.80q", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, wrongFile("something follows the block")
	}
	return fromBlock(block)
}

func wrongFile(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func fromBlock(block *pem.Block) (*Key, error) {
	head := block.Headers
	if got := head[headPurpose]; got != purpose {
		return nil, wrongFile("it is for the purpose %.80q, and not to publish", got)
	}
	if len(block.Bytes) != ed25519.SeedSize {
		return nil, wrongFile("the key has %d bytes, and not %d", len(block.Bytes), ed25519.SeedSize)
	}
	notAfter, err := time.Parse(time.RFC3339, head[headNotAfter])
	if err != nil {
		return nil, wrongFile("%s is no time such as 2027-01-31T12:00:00Z", headNotAfter)
	}
	k := &Key{Farm: head[headFarm], Name: head[headName], NotAfter: notAfter.UTC(),
		URLs: strings.Fields(head[headURLs]), secret: ed25519.NewKeyFromSeed(block.Bytes)}
	known := []string{headFarm, headName, headID, headPurpose, headNotAfter, headURLs}
	for name := range head {
		if !slices.Contains(known, name) {
			return nil, wrongFile("it has a line %.80q, which this version of the program does not know", name)
		}
	}
	for of, name := range map[string]string{headFarm: k.Farm, headName: k.Name} {
		if err := CheckName(name); err != nil {
			return nil, wrongFile("%s: %v", of, err)
		}
	}
	switch {
	case len(k.URLs) > maxURLs:
		return nil, wrongFile("it has more than %d URLs", maxURLs)
	case head[headID] != k.ID():
		return nil, wrongFile("%s is %.40q, and that of the key is %s: the file was changed", headID, head[headID],
			k.ID())
	}
	return k, nil
}

// Read reads the file of a credential. Nobody but its owner may be able to read it: ErrMode. Other errors are
// those of Parse, and of the file system.
func Read(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("credential: %w: %s is no file", ErrFormat, path)
	}
	if perm := st.Mode().Perm(); runtime.GOOS != "windows" && perm&0o077 != 0 {
		return nil, fmt.Errorf("credential: %w: %s has the mode %04o; do: chmod 600 %s", ErrMode, path, perm, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	k, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("credential: %s: %w", path, err)
	}
	return k, nil
}
