package content

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"strings"
)

// typeOf returns the media type of a file by the ending of its name, and where that says nothing by how its
// content begins. The table is part of this package because that of the system differs from one machine to
// the next.
func typeOf(name string, head []byte) string {
	if t, ok := mediaTypes[extension(name)]; ok {
		return t
	}
	if beginsAsJSON(head) && (path.Base(name) == "apple-app-site-association" || strings.Contains(name, "/.well-known/")) {
		return mediaTypes["json"]
	}
	return http.DetectContentType(head)
}

// extension is the ending of a name, in lower case and without its dot.
func extension(name string) string { return strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")) }

// beginsAsJSON is for the well-known files whose names have no ending, such as openid-configuration (RFC 8615).
func beginsAsJSON(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// compressedBefore reports whether a file is of the only kind that is compressed where it is made, and is that by its
// coding, and not by its type: SVG 1.1, 1.2, has image/svg+xml for it with Content-Encoding: gzip.
func compressedBefore(name string) bool { return extension(name) == "svgz" }

// validType reports whether t is a media type in the plain form that this package writes.
func validType(t string) bool {
	if len(t) > maxTypeBytes || strings.IndexFunc(t, notInType) >= 0 {
		return false
	}
	kind, params, err := mime.ParseMediaType(t)
	return err == nil && strings.Count(kind, "/") == 1 && len(params) <= 2
}

func notInType(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("/;=+-._ ", r))
}

// compressible reports whether files of a type usually become smaller.
func compressible(t string) bool {
	kind, _, _ := strings.Cut(t, ";")
	switch {
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+json"), strings.HasSuffix(kind, "+xml"):
		return true
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml", "application/wasm",
		"application/yaml", "application/sql",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon",
		"application/rtf",
		"application/x-sh", "application/postscript", "model/gltf-binary":
		return true
	}
	return false
}

var mediaTypes = map[string]string{
	"html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "xhtml": "application/xhtml+xml",
	"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
	"mjs": "text/javascript; charset=utf-8",
	"cjs": "text/javascript; charset=utf-8", "json": "application/json", "map": "application/json",
	"webmanifest": "application/manifest+json", "jsonld": "application/ld+json",
	"geojson": "application/geo+json",
	"xml":     "text/xml; charset=utf-8", "xsl": "text/xml; charset=utf-8", "rss": "application/rss+xml",
	"atom": "application/atom+xml",
	"txt":  "text/plain; charset=utf-8", "text": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8",
	"md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8",
	"tsv": "text/tab-separated-values; charset=utf-8",
	"ics": "text/calendar; charset=utf-8", "vcf": "text/vcard; charset=utf-8", "vtt": "text/vtt; charset=utf-8",
	"yaml": "application/yaml", "yml": "application/yaml", "sql": "application/sql", "rtf": "application/rtf",
	"wasm": "application/wasm", "pdf": "application/pdf", "ps": "application/postscript",
	"epub": "application/epub+zip",
	"png":  "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg", "jfif": "image/jpeg",
	"gif":  "image/gif",
	"webp": "image/webp", "avif": "image/avif", "jxl": "image/jxl", "heic": "image/heic", "svg": "image/svg+xml",
	"svgz": "image/svg+xml",
	"ico":  "image/x-icon", "cur": "image/x-icon", "bmp": "image/bmp", "tif": "image/tiff",
	"tiff": "image/tiff",
	"woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf", "ttc": "font/collection",
	"eot": "application/vnd.ms-fontobject",
	"mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "oga": "audio/ogg", "ogg": "audio/ogg",
	"opus": "audio/ogg",
	"wav":  "audio/wav", "flac": "audio/flac", "weba": "audio/webm", "mid": "audio/midi", "midi": "audio/midi",
	"mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg", "mov": "video/quicktime",
	"avi": "video/x-msvideo", "mpeg": "video/mpeg", "mpg": "video/mpeg", "ts": "video/mp2t",
	"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",
	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2",
	"xz": "application/x-xz", "zst": "application/zstd", "tar": "application/x-tar",
	"7z":  "application/x-7z-compressed",
	"rar": "application/vnd.rar", "jar": "application/java-archive",
	"apk": "application/vnd.android.package-archive",
	"dmg": "application/x-apple-diskimage", "exe": "application/octet-stream", "msi": "application/octet-stream",
	"bin": "application/octet-stream", "iso": "application/octet-stream",
	"deb": "application/vnd.debian.binary-package",
	"doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":  "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odp": "application/vnd.oasis.opendocument.presentation",
	"glb": "model/gltf-binary", "gltf": "model/gltf+json", "stl": "model/stl",
	"tmpl": "text/plain; charset=utf-8", "gohtml": "text/plain; charset=utf-8", "sh": "application/x-sh",
}
