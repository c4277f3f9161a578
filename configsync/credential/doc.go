// Package credential says who may publish to a farm from outside.
//
// A [Key] is a publisher's: an ed25519 key in a file, minted for one farm, good until a day. The farm keeps
// its public half as a [Record], which can be revoked. Whoever publishes signs an [Order], which says all
// that is to be done; the signed order is a [Seal], which every node opens before it fetches anything that
// the order names.
package credential
