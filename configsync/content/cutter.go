package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// cutter puts what is written to it into a sink: as one blob, or in chunks if it is too long for that. It
// holds up to WholeSize bytes and what one Write brings.
type cutter struct {
	ctx    context.Context
	sink   Sink
	sum    hash.Hash
	buf    []byte
	size   int64
	chunks []blob.Hash
}

func (c *cutter) reset(ctx context.Context, sink Sink) {
	*c = cutter{ctx: ctx, sink: sink, sum: c.sum, buf: c.buf[:0]}
	if c.sum == nil {
		c.sum = sha256.New()
	}
	c.sum.Reset()
}

func (c *cutter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	c.sum.Write(p)
	c.size += int64(len(p))
	c.buf = append(c.buf, p...)
	for c.size > WholeSize && len(c.buf) > ChunkSize {
		if err := c.chunk(ChunkSize); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// chunk puts the first n bytes of what is held.
func (c *cutter) chunk(n int) error {
	h, err := c.sink.Put(c.ctx, blob.Sum(c.buf[:n]), bytes.NewReader(c.buf[:n]))
	if err != nil {
		return err
	}
	c.chunks = append(c.chunks, h)
	c.buf = c.buf[:copy(c.buf, c.buf[n:])]
	return nil
}

// finish puts the rest. What was small remains in buf until the next reset.
func (c *cutter) finish() (h blob.Hash, size int64, chunks []blob.Hash, err error) {
	h = blob.Hash(c.sum.Sum(nil))
	if len(c.chunks) > 0 {
		err = c.chunk(len(c.buf))
	} else {
		_, err = c.sink.Put(c.ctx, h, bytes.NewReader(c.buf))
	}
	return h, c.size, c.chunks, err
}
