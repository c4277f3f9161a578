// Package content is what a release consists of besides configuration: pages, styles, images, templates.
//
// [Pack] turns a folder into blobs and a [Manifest], which names each file with the SHA-256 of its bytes. The
// hash of the manifest, its root, therefore names all of it. [NewFS] is the release as an fs.FS, and [Site]
// serves its folder public to visitors: a request's path is looked up in the manifest, never on a disk. [Set]
// serves the release in force and those that are kept beside it, so that a visitor whose page is of one
// release gets the rest of that page too.
//
// What comes from outside is refused, not repaired, where a rule of DESIGN.md is broken; the error says which
// path, and which rule.
package content
