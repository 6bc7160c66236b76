package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"pappus/data"
)

// MaxTags is how many tags a name can have.
const MaxTags = 1000

// Options are what Open can be told.
type Options struct {
	Log      *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	LockWait time.Duration    // how long to wait for another process; 0: 1 s
}

// Registry is an open data directory. It is safe for concurrent use.
type Registry struct {
	db    *bbolt.DB
	files files
	cache *cache
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	closed  bool
	pending map[pendingCode]int // code that Puts are storing: it must not be collected
}

type pendingCode struct {
	tenant string
	digest data.Digest
}

// Close closes the data directory. Calls that are going on end first; later
// ones fail with ErrClosed.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("close the registry: %w", err)
	}
	return nil
}

// storeError gives bbolt's errors the meaning that they have here.
func storeError(err error) error {
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (r *Registry) view(ctx context.Context, f func(records) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return storeError(guarded(func() error {
		return r.db.View(func(tx *bbolt.Tx) error { return f(records{tx}) })
	}))
}

// update runs f in a transaction that changes a name, and is durable when update
// returns.
func (r *Registry) update(ctx context.Context, tenant, name string, f func(records) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := false
	defer func() {
		if began {
			r.cache.written(tenant, name)
		}
	}()
	return storeError(guarded(func() error {
		return r.db.Update(func(tx *bbolt.Tx) error {
			r.cache.write(tenant, name)
			began = true
			if err := f(records{tx}); err != nil {
				return err
			}
			return r.files.step("commit")
		})
	}))
}

// Put makes a version, or finds the one that is the same in all that makes a
// version what it is: then created is false. It moves the tags that the
// registration names, or latest. When it returns without error all of that is
// durable; when it fails nothing of it is visible. Errors: *NameError,
// ErrReservedName, ErrOtherKind, ErrTooManyTags, *BreaksError unless forced,
// ErrClosed, that of Approve, and the system's; of compositions besides
// *UsesError, *CycleError and ErrTooLarge.
func (r *Registry) Put(ctx context.Context, reg Registration) (v *Version, created bool, err error) {
	reg.Kind = cmp.Or(reg.Kind, KindFunction)
	if err := errors.Join(ctx.Err(), checkRegistration(reg)); err != nil {
		return nil, false, err
	}
	v = &Version{
		Tenant: reg.Tenant, Name: reg.Name, Kind: reg.Kind, Code: make(map[string]CodeRef, len(reg.Code)),
		Signature: reg.Signature, Limits: reg.Limits, Layout: reg.Layout, Memo: reg.Memo, Description: reg.Description,
		Created: r.now().UTC().Truncate(time.Millisecond),
		Source:  reg.Source, Graph: reg.Graph, Uses: slices.Clone(reg.Uses),
	}
	for name, code := range reg.Code {
		digest, known := reg.Digests[name]
		if !known {
			digest = data.Sum(code)
		}
		v.Code[name] = CodeRef{Digest: digest, Size: int64(len(code))}
	}
	if reg.Kind == KindComposition {
		v.Digest, err = digestOfComposition(reg)
	} else {
		v.Digest, err = digestOf(v.Code, v.Signature, v.Limits, v.Layout, v.Memo)
	}
	if err != nil {
		return nil, false, err
	}
	held := v.Code
	if err := r.hold(reg.Tenant, held); err != nil {
		return nil, false, err
	}
	defer func() {
		if dropErr := r.release(reg.Tenant, held); dropErr != nil && err != nil {
			err = errors.Join(err, dropErr)
		}
	}()
	for name, code := range reg.Code {
		if err := r.files.write(reg.Tenant, held[name].Digest, code); err != nil {
			return nil, false, err
		}
	}
	if reg.Approve != nil {
		if err := reg.Approve(); err != nil {
			return nil, false, err
		}
	}
	tags := reg.Tags
	if len(tags) == 0 {
		tags = []string{LatestTag}
	}
	stored := v
	err = r.update(ctx, reg.Tenant, reg.Name, func(rec records) error {
		stored, created = v, false
		f, err := rec.function(reg.Tenant, reg.Name)
		if err != nil {
			return err
		}
		if f.Kind != "" && f.Kind != reg.Kind {
			return fmt.Errorf("%w: %s is a %s", ErrOtherKind, reg.Name, f.Kind)
		}
		f.Kind = reg.Kind
		number := rec.byDigest(reg.Tenant, reg.Name, v.Digest)
		if number == 0 {
			created = true
			number = f.Next
			f.Next++
			v.Number = number
			if err := rec.putVersion(v); err != nil {
				return err
			}
		} else if stored, err = rec.version(reg.Tenant, reg.Name, number); err != nil {
			return err
		} else if err := rec.load(stored); err != nil {
			return err
		}
		return rec.setTags(stored, f, tags, reg.Force)
	})
	if err != nil {
		return nil, false, err
	}
	return stored, created, nil
}

func checkRegistration(reg Registration) error {
	if err := CheckName(reg.Tenant); err != nil {
		return fmt.Errorf("tenant: %w", err)
	}
	if err := CheckName(reg.Name); err != nil {
		return err
	}
	if Reserved(reg.Name) {
		return fmt.Errorf("%w: %s", ErrReservedName, reg.Name)
	}
	switch {
	case reg.Kind == KindComposition:
		if err := checkComposition(reg); err != nil {
			return err
		}
	case reg.Kind != KindFunction:
		return fmt.Errorf("there is no kind %.40q", reg.Kind)
	case len(reg.Code) == 0:
		return errors.New("a registration needs code")
	case reg.Source != "" || len(reg.Graph) > 0 || len(reg.Uses) > 0:
		return errors.New("a function has no graph; registered as a composition it can have one")
	}
	for _, tag := range reg.Tags {
		if err := CheckTag(tag); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps code from being collected while it is stored and not yet used.
func (r *Registry) hold(tenant string, code map[string]CodeRef) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	for _, ref := range code {
		r.pending[pendingCode{tenant, ref.Digest}]++
	}
	return nil
}

// release undoes hold, and removes code that turned out to be used by nobody.
func (r *Registry) release(tenant string, code map[string]CodeRef) error {
	r.mu.Lock()
	for _, ref := range code {
		key := pendingCode{tenant, ref.Digest}
		if r.pending[key]--; r.pending[key] == 0 {
			delete(r.pending, key)
		}
	}
	r.mu.Unlock()
	return r.collect(tenant, slices.Collect(maps.Values(code)))
}

// collect removes the code among refs that no version uses and no Put stores.
func (r *Registry) collect(tenant string, refs []CodeRef) error {
	// Holding the lock keeps a Put from relying on a file that goes away.
	r.mu.Lock()
	defer r.mu.Unlock()
	return storeError(r.db.View(func(tx *bbolt.Tx) error {
		rec := records{tx}
		for _, ref := range refs {
			if r.pending[pendingCode{tenant, ref.Digest}] > 0 || rec.used(tenant, ref.Digest) {
				continue
			}
			if err := r.files.remove(tenant, ref.Digest); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Resolve finds the version that a reference means now, of either kind. It needs
// no store for a reference that was resolved before. Errors: *NotFoundError,
// ErrDamaged.
func (r *Registry) Resolve(ctx context.Context, tenant string, ref Ref) (*Version, error) {
	if v, ok := r.cache.get(tenant, ref); ok {
		return v, nil
	}
	begun := r.cache.begin()
	var v *Version
	err := r.view(ctx, func(rec records) (err error) {
		if v, err = rec.resolve(tenant, ref); err != nil {
			return err
		}
		return rec.load(v)
	})
	if err != nil {
		return nil, err
	}
	r.cache.put(tenant, ref, v, begun)
	return v, nil
}

// ResolveAll finds what references mean now, and all that compositions among
// them apply, at any depth: all names mean what they mean at one moment, and all
// that is applied has the sets that it was checked against. found has the order
// of refs. What was resolved before and not changed since needs no store.
// Errors: *NotFoundError for one of refs itself, *UsesError where a change was
// forced, ErrTooLarge beyond MaxUses references, ErrDamaged.
func (r *Registry) ResolveAll(ctx context.Context, tenant string, refs ...Ref) (found []*Resolved, err error) {
	found = make([]*Resolved, len(refs))
	if r.cache.closuresOf(tenant, refs, found) {
		return found, nil
	}
	begun := r.cache.begin()
	walks := make([]*walk, len(refs))
	err = r.view(ctx, func(rec records) (err error) {
		uses := len(refs)
		for i, ref := range refs {
			// Each has a walk of its own, since it is remembered by itself.
			walks[i] = newWalk(rec, tenant, true)
			walks[i].known = func(id versionID) *Version {
				v, _ := r.cache.get(tenant, Ref{Name: id.name, Number: id.number})
				return v
			}
			walks[i].uses = uses
			if found[i], err = walks[i].ref(ref); err != nil {
				return err
			}
			uses = walks[i].uses
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, ref := range refs {
		r.cache.putClosure(tenant, ref, walks[i].closure(found[i]), begun)
		for id, node := range walks[i].done {
			r.cache.put(tenant, Ref{Name: id.name, Number: id.number}, node.Version, begun)
		}
	}
	return found, nil
}

// Tags are the tags of a name, of either kind, by the numbers of the versions they name.
func (r *Registry) Tags(ctx context.Context, tenant, name string) (map[string]int64, error) {
	var tags map[string]int64
	err := r.view(ctx, func(rec records) error {
		f, err := rec.named(tenant, name, "")
		tags = f.Tags
		return err
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}

// Code returns the bytes of code that some version of the tenant refers to,
// checked against the digest. Errors: *NotFoundError, ErrDamaged.
func (r *Registry) Code(ctx context.Context, tenant string, digest data.Digest) ([]byte, error) {
	code, err := r.code(ctx, tenant, digest)
	if !errors.Is(err, ErrDamaged) {
		return code, err
	}
	// It may have been deleted after it was looked up. While the lock is held no
	// file goes away.
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.code(ctx, tenant, digest)
}

func (r *Registry) code(ctx context.Context, tenant string, digest data.Digest) ([]byte, error) {
	err := r.view(ctx, func(rec records) error {
		if !rec.used(tenant, digest) {
			return &NotFoundError{What: "code", Name: digest.String()}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.files.read(tenant, digest)
}

// SetTag makes a tag name the version that target means, and returns that.
// Moving latest back is a rollback. Errors: *NameError, *NotFoundError,
// ErrTooManyTags, *BreaksError unless forced; of compositions besides *UsesError, *CycleError
// and ErrTooLarge, forced or not.
func (r *Registry) SetTag(ctx context.Context, tenant, name, tag string, target Ref, change Change) (*Version, error) {
	if err := CheckTag(tag); err != nil {
		return nil, err
	}
	if target.Name != name {
		return nil, &NameError{What: "reference", Name: target.String(), Reason: fmt.Sprintf("is not of %q", name)}
	}
	var v *Version
	err := r.update(ctx, tenant, name, func(rec records) error {
		f, err := rec.named(tenant, name, change.Kind)
		if err != nil {
			return err
		}
		if v, err = rec.resolve(tenant, target); err != nil {
			return err
		}
		if err := rec.load(v); err != nil {
			return err
		}
		return rec.setTags(v, f, []string{tag}, change.Force)
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// RemoveTag removes a tag; the version that it named stays. Without latest a
// bare name means nothing. Errors: *NotFoundError, *InUseError unless forced.
func (r *Registry) RemoveTag(ctx context.Context, tenant, name, tag string, change Change) error {
	return r.update(ctx, tenant, name, func(rec records) error {
		f, err := rec.named(tenant, name, change.Kind)
		if err != nil {
			return err
		}
		number, ok := f.Tags[tag]
		if !ok {
			return &NotFoundError{What: "tag", Name: name + "@" + tag}
		}
		delete(f.Tags, tag)
		if err := rec.putFunction(name, f); err != nil {
			return err
		}
		if err := rec.settle(tenant, versionID{name, number}); err != nil || change.Force {
			return err
		}
		return rec.inUse(tenant, name, name+"@"+tag, func(use Use) bool { return use.follows() == tag })
	})
}

// Delete removes a name with all its versions and tags (a bare name), or one
// version (by number or digest), which no tag may name: ErrInUse, forced or not.
// Code that nothing refers to any more goes with it. Numbers are not used again.
// Errors: *NameError, *NotFoundError, ErrInUse, *InUseError unless forced.
func (r *Registry) Delete(ctx context.Context, tenant string, ref Ref, change Change) error {
	if ref.Tag != "" {
		return &NameError{What: "reference", Name: ref.String(), Reason: "names a tag; delete the tag, or the version by its number"}
	}
	var gone []CodeRef
	err := r.update(ctx, tenant, ref.Name, func(rec records) error {
		f, err := rec.named(tenant, ref.Name, change.Kind)
		if err != nil {
			return err
		}
		if ref == (Ref{Name: ref.Name}) {
			gone, err = rec.deleteName(tenant, ref.Name, f, change.Force)
		} else {
			gone, err = rec.deleteOne(tenant, ref, f, change.Force)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := r.collect(tenant, gone); err != nil {
		// The records are gone, so the deletion is done; opening the registry
		// removes the files.
		r.log.WarnContext(ctx, "code that nothing refers to could not be removed", "error", err)
	}
	return nil
}

// deleteName removes all versions and tags of a name, and returns their code.
func (r records) deleteName(tenant, name string, f functionRecord, force bool) (gone []CodeRef, err error) {
	f.Kind, f.Tags = "", map[string]int64{}
	if err := r.putFunction(name, f); err != nil {
		return nil, err
	}
	all, err := r.all(tenant, name) // before the first is deleted: cursors do not outlive that
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if err := r.deleteVersion(v); err != nil {
			return nil, err
		}
		gone = slices.AppendSeq(gone, maps.Values(v.Code))
	}
	if force {
		return gone, nil
	}
	// Versions that used others of their own name are gone, and so is what
	// counted because of them.
	return gone, r.inUse(tenant, name, name, func(Use) bool { return true })
}

// deleteOne removes a version that no tag names, and returns its code.
func (r records) deleteOne(tenant string, ref Ref, f functionRecord, force bool) (gone []CodeRef, err error) {
	v, err := r.resolve(tenant, ref)
	if err != nil {
		return nil, err
	}
	for tag, number := range f.Tags {
		if number == v.Number {
			return nil, inUse(fmt.Sprintf("the tag %s names version %d of %s; move the tag first, or delete the %s", tag, number, ref.Name, f.Kind))
		}
	}
	if err := r.deleteVersion(v); err != nil {
		return nil, err
	}
	if !force {
		if err := r.inUse(tenant, v.Name, versionID{v.Name, v.Number}.String(), func(use Use) bool { return use.pins(v) }); err != nil {
			return nil, err
		}
	}
	if !r.any(tenant, ref.Name) {
		f.Kind = ""
	}
	return slices.Collect(maps.Values(v.Code)), r.putFunction(ref.Name, f)
}
