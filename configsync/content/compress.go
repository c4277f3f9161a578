package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

const (
	compressFrom = 256      // bytes; what is smaller fits into one packet anyway
	zstdFrom     = 64 << 10 // bytes; what is smaller, gzip makes as small
	zstdWindow   = 8 << 20  // bytes; the most that browsers take (RFC 9659)
)

// packing is a content coding of which files get variants.
type packing struct {
	name string
	from int64 // bytes of a file for which it is tried
	open func() compressor
}

// compressor writes one content coding.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// packings are sorted by name. They take time for size, because compressing is done once and by one node. What
// they write depends on nothing but their input and their version.
var packings = []packing{
	{"gzip", compressFrom, func() compressor {
		gz, err := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
		if err != nil {
			panic(err) // the level is a constant
		}
		return gz
	}},
	{"zstd", zstdFrom, func() compressor {
		zs, err := zstd.NewWriter(io.Discard, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			panic(err) // the options are constants
		}
		return zs
	}},
}

// variants compresses the file that was read last, and puts what has become smaller into the sink: smaller by a
// sixteenth than the file, and than each variant before it.
func (w *worker) variants(ctx context.Context, f *File) (variants []Variant, err error) {
	smallest := f.Size
	for i, c := range packings {
		if f.Size < c.from {
			continue
		}
		if w.compressors[i] == nil {
			w.compressors[i] = c.open()
		}
		w.packed.reset(ctx, w.sink)
		if err := w.compress(w.compressors[i], f); err != nil {
			return nil, err
		}
		if w.packed.size > smallest-smallest/16 {
			continue // not worth keeping; chunks that are in the sink already are swept away
		}
		v := Variant{Encoding: c.name}
		if v.Hash, v.Size, v.Chunks, err = w.packed.finish(); err != nil {
			return nil, err
		}
		smallest = v.Size
		variants = append(variants, v)
	}
	return variants, nil
}

func (w *worker) compress(c compressor, f *File) error {
	c.Reset(&w.packed)
	defer c.Reset(io.Discard)
	if len(f.Chunks) == 0 {
		if _, err := io.Copy(c, bytes.NewReader(w.plain.buf)); err != nil {
			return err
		}
		return c.Close()
	}
	again, err := w.fsys.Open(f.Path)
	if err != nil {
		return err
	}
	defer again.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(sum, c), io.LimitReader(again, f.Size+1)); err != nil {
		return err
	}
	if blob.Hash(sum.Sum(nil)) != f.Hash {
		return fmt.Errorf("%w: %q", ErrChanged, f.Path)
	}
	return c.Close()
}
