package order

import "time"

// PathPublish is where operators publish, over HTTP: the paths below it are those of package publish.
const PathPublish = "/publish"

// Kinds of errors about publications, besides those about releases.
const (
	KindUnauthorized = "unauthorized" // the credential or the signature is not good
	KindNoRoom       = "no_room"      // for the content, on the disk of the node or in its quota
	KindOverloaded   = "overloaded"   // nothing was done: the node or the farm takes no more at a time
	KindNoUpload     = "no_upload"    // the node does not know the upload, or not any more
)

// What an operator may ask about credentials, as ConfigGet and its like.
const (
	CredentialMint   = "credential mint"   // CredentialNew -> CredentialDone
	CredentialList   = "credential list"   // nothing -> []Credential
	CredentialRevoke = "credential revoke" // CredentialEnd -> CredentialDone
)

// CredentialNew is a key that may publish from now on.
type CredentialNew struct {
	Public   []byte    `json:"public"` // ed25519, 32 bytes
	Name     string    `json:"name"`
	NotAfter time.Time `json:"not_after"`
	Who      string    `json:"who"`
	Why      string    `json:"why"`
}

// CredentialEnd ends a credential.
type CredentialEnd struct {
	ID  string `json:"id"`
	Who string `json:"who"`
	Why string `json:"why"`
}

// CredentialDone says in which farm, and in which epoch, something was done about credentials.
type CredentialDone struct {
	Farm  string `json:"farm"`
	Epoch uint64 `json:"epoch"` // of what is in force
}

// Credential is one that may publish, or could.
type Credential struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	NotAfter   time.Time `json:"not_after"`
	Minted     time.Time `json:"minted"`
	Who        string    `json:"who"`
	Why        string    `json:"why"`
	Revoked    time.Time `json:"revoked,omitzero"`
	RevokedBy  string    `json:"revoked_by,omitempty"`
	RevokedWhy string    `json:"revoked_why,omitempty"`
}
