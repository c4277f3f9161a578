package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed48eb2e21/webfarm/internal/dirlock"
)

// A file is one line "webfarm KIND VERSION CHECKSUM" and a JSON document. The checksum, CRC-32C in eight
// hexadecimal digits, is that of everything else in the file.
const (
	fileVersion = 1
	headFormat  = "webfarm %s %d %08x\n"
	maxFile     = 16 << 20 // bytes; what is larger is none of ours
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(kind string, version int, doc []byte) uint32 {
	sum := crc32.Update(0, castagnoli, fmt.Appendf(nil, "%s %d\n", kind, version))
	return crc32.Update(sum, castagnoli, doc)
}

// save replaces the file of that kind by v.
func (d *Dir) save(kind string, v any) error {
	doc, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("save %s: %w", kind, err)
	}
	doc = append(doc, '\n')
	head := fmt.Appendf(nil, headFormat, kind, fileVersion, checksum(kind, fileVersion, doc))

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return fmt.Errorf("save %s: %w", kind, fs.ErrClosed)
	}
	if err := replace(d.Path(kind), append(head, doc...)); err != nil {
		return fmt.Errorf("save %s: %w", kind, err)
	}
	return nil
}

// load reads the file of that kind into v; false if there is none.
func (d *Dir) load(kind string, v any) (bool, error) {
	data, err := readFile(d.Path(kind))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", kind, err)
	}
	if err := decode(kind, data, v); err != nil {
		return false, fmt.Errorf("%s: %w", d.Path(kind), err)
	}
	return true, nil
}

func decode(kind string, data []byte, v any) error {
	head, doc, _ := bytes.Cut(data, []byte("\n"))
	var foundKind string
	var version int
	var sum uint32
	fmt.Sscanf(string(head), headFormat, &foundKind, &version, &sum)
	switch {
	case foundKind != kind, string(head)+"\n" != fmt.Sprintf(headFormat, kind, version, sum):
		return fmt.Errorf("%w: it does not begin as a file of this kind", ErrDamaged)
	case sum != checksum(kind, version, doc):
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	case version != fileVersion:
		return fmt.Errorf("it is of version %d, this program knows %d: use the program that wrote it, or a "+
			"newer one",
			version, fileVersion)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxFile)
	}
	return data, err
}

// replace puts data into the place of the file at path, or leaves it as it was.
func replace(path string, data []byte) error {
	temp := path + tempSuffix
	if err := writeSynced(temp, data); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return dirlock.Sync(filepath.Dir(path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
