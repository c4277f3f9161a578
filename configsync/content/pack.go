package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/filemark"
)

// PackConfig says what Pack takes. The zero value takes what the rules allow.
type PackConfig struct {
	Limits Limits

	// Include has patterns of what is wanted although it would be left out: as for path.Match, of the whole
	// path or, without a slash, of the name. What is in a folder that would be left out is wanted with it.
	Include []string

	// Exclude has patterns, of the same form, of what is left out besides. It is stronger than Include.
	Exclude []string

	// Immutable has patterns, of the same form, of files whose names change with their content, besides those
	// that look as if they did.
	Immutable []string

	// Excluded is told what was left out, and why; nil tells nobody. What is no content by its place, the
	// folder config and release.yaml, is not told.
	Excluded func(path, why string)

	// HardLinks takes files which have several names. They are refused otherwise, because the other name may
	// be of something that who wrote the folder was not to read.
	HardLinks bool

	// Previous is a manifest whose blobs are in the sink: files that are in it too are not compressed again.
	// nil is none.
	Previous *Manifest

	// Workers is how many files are read and compressed at a time; each takes up to 40 MiB. 0 is as many as
	// there are processors, and at most 4.
	Workers int
}

// ErrChanged says that the folder was changed while Pack read it. Nothing has come of it, and it may be tried
// again.
var ErrChanged = errors.New("content: the folder changes while it is read")

// Pack reads a site folder, puts its content into sink, compressed variants with it, and returns the
// manifest, which it puts there too. The same content gives the same manifest. Of a folder on disk, fsys is
// best os.OpenRoot's FS, which nothing leads out of.
//
// What breaks a rule of paths, and what is no regular file, is refused: the error is a Problems with all of
// it. What looks as if nobody wanted to publish it, such as .env, is left out, which cfg.Excluded is told.
// Other errors are those of fsys and of sink, and ErrChanged.
func Pack(ctx context.Context, fsys fs.FS, sink Sink, cfg PackConfig) (*Manifest, error) {
	cfg.Limits = cfg.Limits.orDefaults()
	if err := checkPatterns(cfg.Include, cfg.Exclude, cfg.Immutable); err != nil {
		return nil, err
	}
	found, err := survey(ctx, fsys, &cfg)
	if err != nil {
		return nil, err
	}
	p := packer{fsys: fsys, sink: sink, cfg: cfg, known: knownFiles(cfg.Previous)}
	files, err := p.packAll(ctx, found.files)
	if err != nil {
		return nil, err
	}
	m, err := New(files, found.dirs, cfg.Limits)
	if err != nil {
		return nil, err
	}
	if _, err := sink.Put(ctx, m.Root(), bytes.NewReader(m.Encode())); err != nil {
		return nil, fmt.Errorf("content: the manifest: %w", err)
	}
	return m, nil
}

type packer struct {
	fsys  fs.FS
	sink  Sink
	cfg   PackConfig
	known map[blob.Hash]*File // what the manifest before has compressed, if it became smaller
}

// knownFiles returns the files that need not be compressed again.
func knownFiles(m *Manifest) map[blob.Hash]*File {
	if m == nil {
		return nil
	}
	known := make(map[blob.Hash]*File, len(m.Files))
	for i := range m.Files {
		if !compressible(m.Files[i].Type) {
			continue
		}
		known[m.Files[i].Hash] = &m.Files[i]
	}
	return known
}

// packAll packs files by several workers. The first error ends it.
func (p *packer) packAll(ctx context.Context, found []foundFile) ([]File, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	files := make([]File, len(found))
	next := make(chan int)
	var workers sync.WaitGroup
	for range cmp.Or(p.cfg.Workers, min(4, runtime.GOMAXPROCS(0))) {
		workers.Go(func() {
			w := newWorker(p)
			for i := range next {
				f, err := w.pack(ctx, found[i])
				if err != nil {
					cancel(err)
				}
				files[i] = f
			}
		})
	}
	for i := range found {
		if ctx.Err() == nil {
			next <- i
		}
	}
	close(next)
	workers.Wait()
	return files, context.Cause(ctx)
}

// worker packs one file after the other, and keeps the compressors, those that it has needed, for the next.
type worker struct {
	*packer
	plain, packed cutter
	compressors   []compressor // as packings; nil = not needed yet
}

func newWorker(p *packer) *worker {
	return &worker{packer: p, compressors: make([]compressor, len(packings))}
}

func (w *worker) pack(ctx context.Context, found foundFile) (File, error) {
	f, err := w.fsys.Open(found.path)
	if err != nil {
		return File{}, fmt.Errorf("content: %w", err)
	}
	defer f.Close()
	before, err := w.unchanged(f, found)
	if err != nil {
		return File{}, err
	}
	out, err := w.read(ctx, f, found)
	if err != nil {
		return File{}, fmt.Errorf("content: %s: %w", found.path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return File{}, fmt.Errorf("content: %w", err)
	}
	if limit := w.cfg.Limits.FileBytes; out.Size > limit {
		return File{}, Problems{{found.path, fmt.Sprintf("a file has at most %d bytes", limit)}}
	}
	if out.Size != before.Size() || !alike(before, after) {
		return File{}, fmt.Errorf("%w: %q", ErrChanged, found.path)
	}
	return out, nil
}

// unchanged makes sure that what was opened is what was found: a regular file, and not a link that has taken
// its place.
func (w *worker) unchanged(f fs.File, found foundFile) (fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	// some file systems cannot tell
	same := !os.SameFile(found.info, found.info) || os.SameFile(found.info, info)
	if !same || !info.Mode().IsRegular() || !alike(found.info, info) {
		return nil, fmt.Errorf("%w: %q", ErrChanged, found.path)
	}
	return info, nil
}

func alike(a, b fs.FileInfo) bool { return filemark.Of(a) == filemark.Of(b) }

// read puts a file and its variants into the sink.
func (w *worker) read(ctx context.Context, r io.Reader, found foundFile) (File, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return File{}, err
	}
	out := File{Path: found.path, Exec: found.info.Mode()&0o111 != 0, Type: typeOf(found.path, head[:n])}
	if compressedBefore(found.path) && !bytes.HasPrefix(head[:n], []byte(gzipMagic)) {
		return File{}, Problems{{found.path, "an .svgz file is compressed by gzip; call it .svg, and it is compressed here"}}
	}
	out.Immutable = fingerprinted(found.path) || matchesAny(w.cfg.Immutable, found.path)
	w.plain.reset(ctx, w.sink)
	all := io.MultiReader(bytes.NewReader(head[:n]), r)
	if _, err = io.Copy(&w.plain, io.LimitReader(all, w.cfg.Limits.FileBytes+1)); err != nil {
		return File{}, err
	}
	if out.Hash, out.Size, out.Chunks, err = w.plain.finish(); err != nil {
		return File{}, err
	}
	if !compressible(out.Type) || compressedBefore(found.path) {
		return out, nil
	}
	if known := w.known[out.Hash]; known != nil {
		out.Variants = known.Variants
		return out, nil
	}
	out.Variants, err = w.variants(ctx, &out)
	return out, err
}
