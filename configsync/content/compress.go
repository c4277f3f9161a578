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
	compressFrom = 256     // bytes; what is smaller fits into one packet anyway
	zstdWindow   = 8 << 20 // bytes; the most that browsers take (RFC 9659)
)

// compressor writes one content coding.
type compressor struct {
	encoding string
	io.WriteCloser
	reset func(io.Writer)
}

// newCompressors returns one for each coding, sorted by name. They take time for size, because compressing is
// done once and by one node. What they write depends on nothing but their input and their version.
func newCompressors() []compressor {
	gz, err := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	zs, err := zstd.NewWriter(io.Discard, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic(err) // the options are constants
	}
	return []compressor{{"gzip", gz, gz.Reset}, {"zstd", zs, zs.Reset}}
}

// variants compresses the file that was read last, and puts what has become smaller into the sink.
func (w *worker) variants(ctx context.Context, f *File) (variants []Variant, err error) {
	for _, c := range w.compressors {
		w.packed.reset(ctx, w.sink)
		if err := w.compress(c, f); err != nil {
			return nil, err
		}
		if w.packed.size > f.Size-f.Size/16 {
			continue // not worth keeping; chunks that are in the sink already are swept away
		}
		v := Variant{Encoding: c.encoding}
		if v.Hash, v.Size, v.Chunks, err = w.packed.finish(); err != nil {
			return nil, err
		}
		variants = append(variants, v)
	}
	return variants, nil
}

func (w *worker) compress(c compressor, f *File) error {
	c.reset(&w.packed)
	defer c.reset(io.Discard)
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
