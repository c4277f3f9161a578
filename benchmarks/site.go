package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// site is a folder of so many files, as a website has them: three in four are text that compresses, the
// others are like pictures. Files have between 1 and 17 KiB, most of them little. A large one has pictures
// only, 64 times as big.
type site struct {
	dir   string
	files int
	seed  uint64
	large bool
}

const (
	smallestFile  = 1 << 10
	largeTimes    = 64
	doublings     = 5 // to the largest file
	picturesEach  = 4
	filesEach     = 25 // in a folder
	modifiedFiles = 10
)

// name is the path of a file below the folder.
func (s site) name(i int) string {
	ending := "html"
	if s.picture(i) {
		ending = "jpg"
	}
	return filepath.Join("public", fmt.Sprint("section", i/filesEach), fmt.Sprintf("file%d.%s", i, ending))
}

func (s site) picture(i int) bool { return s.large || i%picturesEach == 0 }

// make writes all of it. No two sites of different seeds have a file in common.
func (s site) make() (bytes int64, err error) {
	for i := range s.files {
		n, err := s.write(i, s.seed)
		if bytes += n; err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}

// modify writes some files anew, spread over the folder.
func (s site) modify(n int, seed uint64) error {
	for i := range n {
		if _, err := s.write(i*s.files/n, seed); err != nil {
			return err
		}
	}
	return nil
}

func (s site) write(i int, seed uint64) (int64, error) {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	size := smallestFile<<rng.IntN(doublings) + rng.IntN(smallestFile)
	if s.large {
		size *= largeTimes
	}
	text := make([]byte, 0, size+8)
	if s.picture(i) {
		for len(text) < size {
			text = binary.LittleEndian.AppendUint64(text, rng.Uint64())
		}
	} else {
		text = append(text, page(rng, size)...)
	}
	name := filepath.Join(s.dir, s.name(i))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	return int64(len(text)), os.WriteFile(name, text, 0o644)
}

var words = strings.Fields(`the of and to in is you that it he was for on are as with his they at be this have
	from or one had by word but not what all were we when your can said there use an each which she do how their
	if will up other about out many then them these so some her would make like him into time has look two more
	write go see`)

// page is text like that of a page, of about so many bytes.
func page(rng *rand.Rand, size int) string {
	var b strings.Builder
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, "<li class=\"item wide\"><a href=\"/shop/%d\">", rng.IntN(1e6))
		for range 3 + rng.IntN(20) {
			b.WriteString(words[rng.IntN(len(words))])
			b.WriteByte(' ')
		}
		b.WriteString("</a></li>\n")
	}
	return b.String()
}

// setting writes the configuration of the site, by which nodes are seen to show it.
func (s site) setting(value int) error {
	dir := filepath.Join(s.dir, "config")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, settingFile), []byte(settingText(value)), 0o644)
}

// equal returns nil if a copy of the site has the same bytes.
func (s site) equal(copied string) error {
	for i := range s.files {
		want, err := os.ReadFile(filepath.Join(s.dir, s.name(i)))
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(copied, s.name(i)))
		if err != nil {
			return err
		}
		if string(got) != string(want) {
			return fmt.Errorf("%s is another one in %s", s.name(i), copied)
		}
	}
	return nil
}
