package keyring

import (
	"encoding/binary"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/wire"
)

const (
	maxPurpose  = 64  // bytes
	maxPurposes = 256 // different ones
	maxLive     = 32  // keys of one purpose that have their secret
	maxEnded    = 16  // keys of one purpose that are remembered without it; what ended before them is forgotten
)

// The op codes. A program of protocol level 3 or less knows the first alone.
const (
	opEnsure byte = iota + 1
	opRotate
	opActivate
	opRetire
	opRevoke
	opHighest = opRevoke
)

// rotationLevel is the protocol level whose programs know all commands and snapshots.
const rotationLevel = 4

// CommandLevel returns the protocol level that a farm must work at before a command of the Machine may get
// into its log, because programs of earlier releases do not know it; with nil, the level for the Machine
// itself. Whoever replicates the Machine refuses what needs more than the level in force.
func CommandLevel(cmd []byte) int {
	if len(cmd) > 0 && cmd[0] > opEnsure {
		return rotationLevel
	}
	return 1
}

// Every command is its op code, the length of the purpose, the purpose, and what follows below, in the order
// of the fields. Numbers are little endian, durations are milliseconds.

// ensure offers a first key for a purpose; it counts if there is none yet.
type ensure struct {
	purpose string
	secret  Secret
}

// rotate adds a key that signs nothing yet, unless somebody else has added one.
type rotate struct {
	purpose string
	newest  uint32        // id of the newest key, as the proposer knows it: of many proposers one wins
	after   time.Duration // the present key must have signed for so long, by the log's time
	secret  Secret
}

// activate has a pending key sign, in place of the one that does.
type activate struct {
	purpose string
	id      uint32
	after   time.Duration // it must have been pending for so long, by the log's time
	accept  time.Duration // for how long from now on what the old one signed is accepted
}

// retire ends the keys whose time is over by the log's time.
type retire struct{ purpose string }

// revoke ends the keys of some ids, at once. Where none is left to sign, the secret becomes one that does.
type revoke struct {
	purpose  string
	from, to uint32 // ids, both included
	secret   Secret
}

func head(op byte, purpose string) []byte {
	b := make([]byte, 0, 2+len(purpose)+4+8+8+Size)
	return append(append(b, op, byte(len(purpose))), purpose...)
}

func (c ensure) encode() []byte { return append(head(opEnsure, c.purpose), c.secret[:]...) }

func (c rotate) encode() []byte {
	b := binary.LittleEndian.AppendUint32(head(opRotate, c.purpose), c.newest)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.after.Milliseconds()))
	return append(b, c.secret[:]...)
}

func (c activate) encode() []byte {
	b := binary.LittleEndian.AppendUint32(head(opActivate, c.purpose), c.id)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.after.Milliseconds()))
	return binary.LittleEndian.AppendUint64(b, uint64(c.accept.Milliseconds()))
}

func (c retire) encode() []byte { return head(opRetire, c.purpose) }

func (c revoke) encode() []byte {
	b := binary.LittleEndian.AppendUint32(head(opRevoke, c.purpose), c.from)
	b = binary.LittleEndian.AppendUint32(b, c.to)
	return append(b, c.secret[:]...)
}

// decoder reads what follows the op code.
type decoder struct{ wire.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{wire.NewDecoder(b)} }

func (d *decoder) purpose() string {
	p := string(d.Take(int(d.Byte())))
	d.Check(validPurpose(p))
	return p
}

func (d *decoder) id() uint32 { return binary.LittleEndian.Uint32(d.Take(4)) }

// maxDuration bounds durations, so that a time and one of them have a sum.
const maxDuration = 200 * 365 * 24 * time.Hour

func (d *decoder) duration() time.Duration {
	ms := binary.LittleEndian.Uint64(d.Take(8))
	if ms > uint64(maxDuration.Milliseconds()) {
		d.Fail()
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

func (d *decoder) secret() Secret { return Secret(d.Take(Size)) }

func validPurpose(p string) bool { return 0 < len(p) && len(p) <= maxPurpose }

// status is the first byte of an answer. Where it says so, a number follows.
type status byte

const (
	statusOK        status = iota + 1 // 4 bytes: the id of the key that it is about; ensure, revoke: that signs
	statusFull                        // too many purposes, or keys of one
	statusMalformed                   // not what the encode methods write
	statusMoved                       // 4 bytes: the id of the newest key: the command is for another state
	statusEarly                       // 8 bytes: how many ms it is too early, by the log's time
	statusNoKey                       // no such purpose or key
)

// result is what a command came to.
type result struct {
	status status
	id     uint32
	wait   time.Duration // statusEarly
}

func (r result) encode() []byte {
	b := []byte{byte(r.status)}
	switch r.status {
	case statusOK, statusMoved:
		b = binary.LittleEndian.AppendUint32(b, r.id)
	case statusEarly:
		b = binary.LittleEndian.AppendUint64(b, uint64(r.wait.Milliseconds()))
	}
	return b
}

func decodeResult(b []byte) (result, bool) {
	d := newDecoder(b)
	r := result{status: status(d.Byte())}
	switch r.status {
	case statusOK, statusMoved:
		r.id = d.id()
	case statusEarly:
		r.wait = d.duration()
	case statusFull, statusMalformed, statusNoKey:
	default:
		return result{}, false
	}
	return r, d.Done()
}
