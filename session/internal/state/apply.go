package state

func known(op byte) bool { return op >= opCreate && op <= opChangeLimits }

// apply carries out a command whose op code is known.
func (t *table) apply(index uint64, cmd []byte) Result {
	if len(cmd) == 0 {
		return Result{Status: Malformed}
	}
	d := newDecoder(cmd[1:])
	switch cmd[0] {
	case opCreate:
		return t.create(index, d)
	case opWrite:
		return t.write(index, d)
	case opCAS:
		return t.cas(index, d)
	case opTake:
		return t.take(index, d)
	case opDestroy:
		return t.destroy(d)
	case opTouch:
		return t.touch(d)
	case opTick:
		return t.tick(d)
	case opRenew:
		return t.renew(index, d)
	case opChangeLimits:
		return t.changeLimits(index, d)
	default:
		return t.setLimits(d)
	}
}

func (t *table) create(index uint64, d *decoder) Result {
	now := t.now.Load()
	s := session{key: d.key(), idle: d.millis(), absolute: d.millis(), created: now, seen: now, mod: index}
	t.changes = d.sets(t.changes[:0])
	if !d.Done() || s.idle == 0 || s.absolute == 0 {
		return Result{Status: Malformed}
	}
	sh := t.shard(s.key)
	if _, ok := sh.slot(s.key); ok || sh.buriedLocked(s.key, now) {
		return Result{Status: Exists}
	}
	version := t.nextVersion(index)
	values, _, ok := t.merge(nil, version)
	switch {
	case !ok:
		return Result{Status: TooLarge}
	case t.crowded(values):
		return Result{Status: t.noRoom()}
	}
	s.values, t.version = values, version
	t.insert(s)
	return Result{Status: OK, Version: version}
}

func (t *table) write(index uint64, d *decoder) Result {
	key := d.key()
	t.changes = d.deletes(d.sets(t.changes[:0]))
	if !d.Done() {
		return Result{Status: Malformed}
	}
	r, ok := t.open(key)
	if !ok {
		return Result{Status: Ended}
	}
	return t.change(index, r)
}

// cas needs no copy of the present value: blobs are immutable, and the answer is encoded before anything else happens.
func (t *table) cas(index uint64, d *decoder) Result {
	key, name, want, value := d.key(), d.name(), d.Uint(), d.bytes()
	if !d.Done() {
		return Result{Status: Malformed}
	}
	r, ok := t.open(key)
	if !ok {
		return Result{Status: Ended}
	}
	if present, version, found := r.values.find(string(name)); version != want {
		return Result{Status: Conflict, Found: found, Version: version, Value: present}
	}
	t.changes = append(t.changes[:0], change{name: name, value: value})
	return t.change(index, r)
}

func (t *table) take(index uint64, d *decoder) Result {
	key, name := d.key(), d.name()
	if !d.Done() {
		return Result{Status: Malformed}
	}
	r, ok := t.open(key)
	if !ok {
		return Result{Status: Ended}
	}
	value, version, found := r.values.find(string(name))
	if !found {
		return Result{Status: OK}
	}
	t.changes = append(t.changes[:0], change{name: name, remove: true})
	t.change(index, r)
	return Result{Status: OK, Found: true, Version: version, Value: value}
}

// change merges t.changes into a session.
func (t *table) change(index uint64, r ref) Result {
	version := t.nextVersion(index)
	values, changed, ok := t.merge(r.values, version)
	switch {
	case !ok:
		return Result{Status: TooLarge}
	case t.outgrows(Cost(len(values)) - Cost(len(r.values))):
		return Result{Status: Full}
	}
	answer := Result{Status: OK}
	if changed {
		answer.Version, t.version = version, version
		r.values, r.mod = values, index
	}
	t.use(&r)
	t.store(r)
	return answer
}

func (t *table) destroy(d *decoder) Result {
	key := d.key()
	if !d.Done() {
		return Result{Status: Malformed}
	}
	r, ok := t.open(key)
	if !ok {
		return Result{Status: Ended}
	}
	t.end(t.shard(key), r.slot)
	return Result{Status: OK}
}

func (t *table) touch(d *decoder) Result {
	if len(d.Rest())%len(Key{}) != 0 {
		return Result{Status: Malformed}
	}
	answer := Result{Status: OK}
	for !d.Done() {
		if r, ok := t.open(d.key()); ok {
			t.use(&r)
			t.store(r)
			answer.Count++
		}
	}
	return answer
}

// renew puts the session in under the new key before it ends the old one, so that no reader finds neither.
func (t *table) renew(index uint64, d *decoder) Result {
	key, next := d.key(), d.key()
	t.changes = d.deletes(d.sets(t.changes[:0]))
	if !d.Done() {
		return Result{Status: Malformed}
	}
	r, ok := t.open(key)
	if !ok {
		return Result{Status: Ended}
	}
	sh := t.shard(next)
	if _, ok := sh.slot(next); ok || sh.buriedLocked(next, t.now.Load()) {
		return Result{Status: Exists}
	}
	version := t.nextVersion(index)
	values, changed, ok := t.merge(r.values, version)
	switch {
	case !ok:
		return Result{Status: TooLarge}
	case t.outgrows(Cost(len(values)) - Cost(len(r.values)) + graveCost):
		return Result{Status: Full}
	}
	answer := Result{Status: OK}
	if changed {
		answer.Version, t.version = version, version
	}
	s := r.session
	s.key, s.values, s.mod = next, values, index
	s.seen = max(s.seen, t.now.Load())
	t.insert(s)
	t.end(t.shard(key), r.slot)
	return answer
}

func (t *table) changeLimits(index uint64, d *decoder) Result {
	seen, limits := d.Uint(), d.changedLimits()
	switch present := t.limitsVersion.Load(); {
	case !d.Done():
		return Result{Status: Malformed}
	case seen != present:
		return Result{Status: Conflict, Version: present}
	}
	version := max(t.limitsVersion.Load()+1, index)
	t.limits.Store(&limits)
	t.limitsVersion.Store(version)
	return Result{Status: OK, Version: version}
}

func (t *table) setLimits(d *decoder) Result {
	limits := d.limits()
	if !d.Done() {
		return Result{Status: Malformed}
	}
	limits.Total = t.limits.Load().Total
	t.limits.Store(&limits)
	return Result{Status: OK}
}
