package state

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// What a revision, and a command, can hold. These are part of the format.
const (
	MaxBytes     = 256 << 10 // of all texts of a revision together
	MaxFiles     = 256       // of a revision
	MaxPath      = 256       // bytes
	MaxWho       = 256       // bytes
	MaxWhy       = 1024      // bytes
	MaxReason    = 4096      // bytes, of the end of a rollout
	MaxKey       = 64        // bytes
	MaxProgram   = 64        // bytes
	MaxPublisher = 64        // bytes
	MaxSeal      = 4096      // bytes
	MaxNode      = 64        // bytes of a node's name
	MaxNodes     = 1024      // that a rollout names
	MaxPercent   = 100       // of the clients
	Kept         = 50        // epochs, rollouts, and releases that nothing needs
	MaxDuration  = 24 * time.Hour
	MaxStrict    = 10 * time.Second // that requests are held
)

const (
	opPropose byte = iota + 1
	opBegin
	opActivate
	opConfirm
	opReturn
	opAbort
	opEndCanary
	opMint
	opRevoke
	opShare
	opStrict
	opFreeze
)

const levelFirst = 4 // the protocol level that the machine, and all it knows, needs

// Level returns the protocol level that a command needs; that of the machine itself for nil.
func Level([]byte) int { return levelFirst }

// Write is what every change of what is in force says of itself.
type Write struct {
	Epoch    uint64 // that must be in force
	Who, Why string
	Key      string // the same whenever the write is repeated, and no other write's; "" = it is not repeated
}

// Propose makes a release of what is in force with changes, and begins to roll it out, unless Hold is set.
type Propose struct {
	Write
	Changes []Change // of the files of configuration
	Keep    bool     // the content stays as it is; and without Needs, they do
	Content Content  // if it does not
	Needs
	Publisher string
	Plan      Plan
	Hold      bool // the release is kept for later, and no rollout begins
}

// Change sets a file, or takes it away.
type Change struct {
	Path   string
	Delete bool
	Text   string
}

// Begin begins to roll out a release that is kept.
type Begin struct {
	Write
	Release uint64
	Plan    Plan
}

// Freeze has all nodes let no request begin, until the Strict rollout is activated or aborted. Ready are the nodes that
// were ready then.
type Freeze struct {
	Rollout uint64
	Ready   []string
}

// Activate switches to what a rollout has made ready, and names the nodes that were, and those that were not
// heard.
type Activate struct {
	Rollout            uint64
	Ready, Unconfirmed []string
}

// Step ends a rollout, or a canary; Who and Why are kept as By and Reason.
type Step struct {
	Rollout  uint64
	Who, Why string
}

// Confirm says that all is well after the switch.
type Confirm Step

// Return puts the release in force again that was before the switch; of a canary, it ends that.
type Return Step

// Abort ends a rollout before the switch.
type Abort Step

// EndCanary has all nodes show the same again. Rollout is that of the canary.
type EndCanary Step

// A command is the op code and then, with numbers as uvarints and strings after their length:
//
//	write:    epoch, idempotency key, who, why
//	plan:     unreachable, wait, min ready, stage, confirm, bake (durations in ms), dry, nodes, restart
//	nodes:    their number, then their names, ascending
//
//	propose:  write, number of changes, for each: path, 0 to set or 1 to delete, text; 1 to keep the content
//	          or 0 and the content; program, level, publisher, plan, hold
//	content:  root and source (each as a string of 32 bytes, or of none), bytes of the manifest, bytes of all files,
//	          number of files, seal
//	begin:    write, release, plan
//	activate: rollout, nodes that are ready, nodes that are not
//	confirm, return, abort, end of canary: rollout, who, why
//	share:    percent (1 byte, 1 to 100), then a propose or a begin whose plan has no nodes, with its op code
//	strict:   for how long at most requests are held, in ms, 1 at least; then a propose or a begin, with its op code, whose
//	          plan has no nodes, and which is neither dry nor held
//	freeze:   rollout, nodes that are ready
//	mint:     public key (32 bytes), name, not after in ms since 1970, who, why
//	revoke:   ID of the credential, who, why

// Append appends the command to b.
func (c Propose) Append(b []byte) []byte {
	b = c.Write.append(append(c.Plan.appendFor(b), opPropose))
	b = binary.AppendUvarint(b, uint64(len(c.Changes)))
	for _, ch := range c.Changes {
		b = appendString(b, ch.Path)
		b = append(b, boolByte(ch.Delete))
		b = appendString(b, ch.Text)
	}
	if b = append(b, boolByte(c.Keep)); !c.Keep {
		b = c.Content.append(b)
	}
	b = binary.AppendUvarint(appendString(b, c.Program), c.Level)
	b = appendString(b, c.Publisher)
	return append(c.Plan.append(b), boolByte(c.Hold))
}

// Append appends the command to b.
func (c Begin) Append(b []byte) []byte {
	b = binary.AppendUvarint(c.Write.append(append(c.Plan.appendFor(b), opBegin)), c.Release)
	return c.Plan.append(b)
}

// Append appends the command to b.
func (c Freeze) Append(b []byte) []byte {
	return appendNodes(binary.AppendUvarint(append(b, opFreeze), c.Rollout), c.Ready)
}

// Append appends the command to b.
func (c Activate) Append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, opActivate), c.Rollout)
	return appendNodes(appendNodes(b, c.Ready), c.Unconfirmed)
}

// Append appends the command to b.
func (c Confirm) Append(b []byte) []byte { return Step(c).append(append(b, opConfirm)) }

// Append appends the command to b.
func (c Return) Append(b []byte) []byte { return Step(c).append(append(b, opReturn)) }

// Append appends the command to b.
func (c Abort) Append(b []byte) []byte { return Step(c).append(append(b, opAbort)) }

// Append appends the command to b.
func (c EndCanary) Append(b []byte) []byte { return Step(c).append(append(b, opEndCanary)) }

// Append appends the command to b.
func (m Mint) Append(b []byte) []byte { return m.append(append(b, opMint)) }

// Append appends the command to b.
func (r Revoke) Append(b []byte) []byte { return r.append(append(b, opRevoke)) }

func (c Step) append(b []byte) []byte {
	return appendString(appendString(binary.AppendUvarint(b, c.Rollout), c.Who), c.Why)
}

func (w Write) append(b []byte) []byte {
	b = binary.AppendUvarint(b, w.Epoch)
	for _, s := range []string{w.Key, w.Who, w.Why} {
		b = appendString(b, s)
	}
	return b
}

// appendFor appends what stands before a command whose plan is for a share of the clients, or Strict: a program that
// knows of neither must not take it for another one.
func (p Plan) appendFor(b []byte) []byte {
	if p.Strict > 0 {
		b = appendDuration(append(b, opStrict), p.Strict)
	}
	if p.Percent > 0 {
		b = append(b, opShare, byte(min(p.Percent, MaxPercent+1)))
	}
	return b
}

func (p Plan) append(b []byte) []byte {
	b = append(b, byte(p.Unreachable))
	b = binary.AppendUvarint(appendDuration(b, p.Wait), p.MinReady)
	b = appendDuration(appendDuration(appendDuration(b, p.Stage), p.Confirm), p.Bake)
	return append(appendNodes(append(b, boolByte(p.Dry)), p.Nodes), byte(p.Restart))
}

func (c Content) append(b []byte) []byte {
	for _, h := range []blob.Hash{c.Root, c.Source} {
		if h.IsZero() {
			b = append(b, 0)
		} else {
			b = appendString(b, string(h[:]))
		}
	}
	return appendString(appendNumbers(b, c.Manifest, c.Size, c.Files), c.Seal)
}

// appendNodes sorts the nodes: who names them in another order says the same.
func appendNodes(b []byte, nodes []string) []byte {
	nodes = slices.Compact(slices.Sorted(slices.Values(nodes)))
	b = binary.AppendUvarint(b, uint64(len(nodes)))
	for _, n := range nodes {
		b = appendString(b, n)
	}
	return b
}

func appendDuration(b []byte, d time.Duration) []byte {
	return binary.AppendUvarint(b, uint64(max(0, d).Milliseconds()))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func decodePropose(as kind, b []byte) (c Propose, ok bool) {
	d := newDecoder(b)
	c.Write = d.write()
	seen := map[string]bool{}
	for range d.Count(MaxFiles, 3) {
		ch := Change{Path: d.path(), Delete: d.Bool(), Text: d.text(MaxBytes)}
		if seen[ch.Path] || ch.Delete && ch.Text != "" {
			return c, false
		}
		seen[ch.Path] = true
		c.Changes = append(c.Changes, ch)
	}
	if c.Keep = d.Bool(); !c.Keep {
		c.Content = d.content()
	}
	c.Needs = d.needs()
	c.Publisher, c.Plan, c.Hold = d.text(MaxPublisher), d.planAs(as), d.Bool()
	return c, d.Done() && (as == kind{} || !c.Hold)
}

func decodeBegin(as kind, b []byte) (c Begin, ok bool) {
	d := newDecoder(b)
	c.Write, c.Release, c.Plan = d.write(), d.Uint(), d.planAs(as)
	return c, d.Done()
}

func decodeActivate(b []byte) (c Activate, ok bool) {
	d := newDecoder(b)
	c.Rollout, c.Ready, c.Unconfirmed = d.Uint(), d.nodes(), d.nodes()
	return c, d.Done()
}

func decodeFreeze(b []byte) (c Freeze, ok bool) {
	d := newDecoder(b)
	c.Rollout, c.Ready = d.Uint(), d.nodes()
	return c, d.Done()
}

func decodeStep(b []byte) (c Step, ok bool) {
	d := newDecoder(b)
	c = Step{d.Uint(), d.text(MaxWho), d.text(MaxReason)}
	return c, d.Done()
}
