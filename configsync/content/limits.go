package content

import "github.com/seed48eb2e21/webfarm/configsync/blob"

// Limits are how large a release may be. A zero field is the default that its comment says.
type Limits struct {
	Files     int   // files and empty folders; 50 000
	FileBytes int64 // bytes of one file; 512 MiB
	Bytes     int64 // bytes of all files, compressed variants apart; 2 GiB
	PathBytes int   // bytes of a path; 512, and no more than that
	Depth     int   // names in a path; 32, and no more than that
}

const (
	maxPathBytes = 512
	maxNameBytes = 255 // what most file systems can hold
	maxDepth     = 32
	maxVariants  = 3
	maxTypeBytes = 127
)

func (l Limits) orDefaults() Limits {
	l.Files = orDefault(l.Files, 50_000)
	l.FileBytes = orDefault(l.FileBytes, 512<<20)
	l.Bytes = orDefault(l.Bytes, 2<<30)
	l.PathBytes = min(orDefault(l.PathBytes, maxPathBytes), maxPathBytes)
	l.Depth = min(orDefault(l.Depth, maxDepth), maxDepth)
	return l
}

func orDefault[N int | int64](n, def N) N {
	if n <= 0 {
		return def
	}
	return n
}

// maxManifest is in bytes. A manifest is a blob.
const maxManifest = blob.MaxSize
