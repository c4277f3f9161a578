package state

// Op codes: the first byte of a command. They are never reused. Zero is none, so that an empty page is not a
// command.
const (
	opRegister byte = iota + 1
	opSuspect
	opRefute
	opExpire
	opEnd
	opAcquire
	opRelease
	opOffer
	opWithdraw
	opPlan
	opClaim
	opStart
	opFinish
	opTrigger
	opPause
	opForget
)

// Command is one change.
type Command interface {
	// Append appends the encoded command to dst.
	Append(dst []byte) []byte

	apply(s *step) Answer
}

// commands read what follows the op code.
var commands = map[byte]func(*decoder) Command{
	opRegister: func(d *decoder) Command { return Register{ID: d.name(), Node: d.Text(MaxText)} },
	opSuspect:  func(d *decoder) Command { return Suspect{d.name()} },
	opRefute:   func(d *decoder) Command { return Refute{d.name()} },
	opExpire:   func(d *decoder) Command { return Expire{d.name(), d.Uint()} },
	opEnd:      func(d *decoder) Command { return End{d.name()} },
	opAcquire: func(d *decoder) Command {
		return Acquire{Owner: d.name(), Ticket: d.Uint(), Name: d.name(), Rank: d.Byte(), Wait: d.Bool()}
	},
	opRelease:  func(d *decoder) Command { return Release{d.name(), d.Uint(), d.Bool()} },
	opOffer:    func(d *decoder) Command { return Offer{d.name(), d.name(), readSpec(d)} },
	opWithdraw: func(d *decoder) Command { return Withdraw{d.name(), d.name()} },
	opPlan:     func(d *decoder) Command { return Plan{d.name(), d.name(), d.millis()} },
	opClaim: func(d *decoder) Command {
		return Claim{d.name(), d.name(), d.millis(), readTicks(d), d.Uint(), d.millis()}
	},
	opStart: func(d *decoder) Command { return Start{d.name(), d.name()} },
	opFinish: func(d *decoder) Command {
		return Finish{d.name(), d.name(), d.Uint(), Outcome(d.Below(byte(outcomes))), d.Text(MaxText)}
	},
	opTrigger: func(d *decoder) Command { return Trigger{d.name()} },
	opPause:   func(d *decoder) Command { return Pause{d.name(), d.Bool()} },
	opForget:  func(d *decoder) Command { return Forget{d.name(), d.Bool()} },
}

func op(dst []byte, code byte, names ...string) []byte {
	dst = append(dst, code)
	for _, n := range names {
		dst = appendText(dst, n)
	}
	return dst
}

// Append implements Command.
func (c Register) Append(dst []byte) []byte { return op(dst, opRegister, c.ID, clip(c.Node)) }

// Append implements Command.
func (c Suspect) Append(dst []byte) []byte { return op(dst, opSuspect, c.ID) }

// Append implements Command.
func (c Refute) Append(dst []byte) []byte { return op(dst, opRefute, c.ID) }

// Append implements Command.
func (c Expire) Append(dst []byte) []byte { return appendUint(op(dst, opExpire, c.ID), c.Suspicion) }

// Append implements Command.
func (c End) Append(dst []byte) []byte { return op(dst, opEnd, c.ID) }

// Append implements Command.
func (c Acquire) Append(dst []byte) []byte {
	dst = appendText(appendUint(op(dst, opAcquire, c.Owner), c.Ticket), c.Name)
	return appendBool(append(dst, c.Rank), c.Wait)
}

// Append implements Command.
func (c Release) Append(dst []byte) []byte {
	return appendBool(appendUint(op(dst, opRelease, c.Owner), c.Ticket), c.Finished)
}

// Append implements Command.
func (c Offer) Append(dst []byte) []byte { return c.Spec.append(op(dst, opOffer, c.Owner, c.Job)) }

// Append implements Command.
func (c Withdraw) Append(dst []byte) []byte { return op(dst, opWithdraw, c.Owner, c.Job) }

// Append implements Command.
func (c Plan) Append(dst []byte) []byte { return appendMillis(op(dst, opPlan, c.Owner, c.Job), c.Next) }

// Append implements Command.
func (c Claim) Append(dst []byte) []byte {
	dst = appendMillis(op(dst, opClaim, c.Owner, c.Job), c.Expect)
	dst = appendUint(dst, uint64(len(c.Ticks)))
	for _, t := range c.Ticks {
		dst = appendMillis(dst, t)
	}
	return appendMillis(appendUint(dst, c.Left), c.Next)
}

// Append implements Command.
func (c Start) Append(dst []byte) []byte { return op(dst, opStart, c.Owner, c.Job) }

// Append implements Command.
func (c Finish) Append(dst []byte) []byte {
	dst = append(appendUint(op(dst, opFinish, c.Owner, c.Job), c.Fence), byte(c.Outcome))
	return appendText(dst, clip(c.Error))
}

// Append implements Command.
func (c Trigger) Append(dst []byte) []byte { return op(dst, opTrigger, c.Job) }

// Append implements Command.
func (c Pause) Append(dst []byte) []byte { return appendBool(op(dst, opPause, c.Job), c.Paused) }

// Append implements Command.
func (c Forget) Append(dst []byte) []byte { return appendBool(op(dst, opForget, c.Name), c.Done) }

// clip cuts a text to MaxText bytes.
func clip(s string) string {
	if len(s) > MaxText {
		return s[:MaxText]
	}
	return s
}

func readTicks(d *decoder) []int64 {
	n := d.count(1)
	if n > MaxTicks {
		d.Fail()
		return nil
	}
	ticks := make([]int64, n)
	for i := range ticks {
		ticks[i] = d.millis()
	}
	return ticks
}

func (s Spec) append(dst []byte) []byte {
	dst = appendText(appendText(dst, s.Schedule), s.Zone)
	dst = appendMillis(appendMillis(dst, s.Jitter), s.Grace)
	return append(dst, byte(s.Overlap), byte(s.Missed))
}

func readSpec(d *decoder) Spec {
	return Spec{d.Text(MaxText), d.Text(MaxText), d.millis(), d.millis(), Overlap(d.Below(byte(overlaps))),
		Missed(d.Below(byte(misseds)))}
}
