package registry

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"pappus/data"
	"pappus/engine"
)

// Versions of the records, keys and folders below. Every record carries the one
// that it came with. A directory has the second from its first composition on,
// and the third from the first one that applies an I/O function: one that never
// had any can be read by programs that know only those before.
const (
	formatFunctions    = 1
	formatCompositions = 2
	formatIO           = 3 // of rows about I/O functions
)

// Buckets and keys. Tenants and names hold no zero byte, so it separates.
//
//	meta:         "format"                            → "1", "2" or "3"
//	functions:    TENANT 0 NAME                       → functionRecord, of compositions too
//	versions:     TENANT 0 NAME 0 number (8, BE)      → versionRecord
//	digests:      TENANT 0 NAME 0 digest (32)         → number (8, BE)
//	uses:         TENANT 0 digest (32) NAME 0 number  → "" : a version uses this code
//	compositions: TENANT 0 NAME 0 number              → compositionRecord
//	references:   TENANT 0 NAME 0 number              → referencesRecord: what that composition applies
//	users:        TENANT 0 NAME 0 USER 0 number       → referencesRecord: as what USER@number applies NAME
var (
	bucketMeta         = []byte("meta")
	bucketFunctions    = []byte("functions")
	bucketVersions     = []byte("versions")
	bucketDigests      = []byte("digests")
	bucketUses         = []byte("uses")
	bucketCompositions = []byte("compositions")
	bucketReferences   = []byte("references")
	bucketUsers        = []byte("users")
	keyFormat          = []byte("format")
)

func buckets() [][]byte {
	return [][]byte{
		bucketMeta, bucketFunctions, bucketVersions, bucketDigests, bucketUses,
		bucketCompositions, bucketReferences, bucketUsers,
	}
}

// format is the one that records of this kind came with.
func (k Kind) format() int {
	if k == KindComposition {
		return formatCompositions
	}
	return formatFunctions
}

// functionRecord is what is known of a name. It outlives the deletion of its
// versions, because numbers are never used again.
type functionRecord struct {
	Format int              `json:"format"`
	Tenant string           `json:"tenant"`
	Kind   Kind             `json:"kind"` // "" once all versions are deleted: the name is free
	Next   int64            `json:"next"` // number of the next version
	Tags   map[string]int64 `json:"tags"`
}

// tagged reports whether a tag names the version.
func (f functionRecord) tagged(number int64) bool {
	for _, n := range f.Tags {
		if n == number {
			return true
		}
	}
	return false
}

type versionRecord struct {
	Format      int                `json:"format"`
	Kind        Kind               `json:"kind,omitempty"` // "" for a function
	Tenant      string             `json:"tenant"`
	Name        string             `json:"name"`
	Number      int64              `json:"number"`
	Digest      data.Digest        `json:"digest"`
	Code        map[string]CodeRef `json:"code"`
	Signature   engine.Signature   `json:"signature"`
	Limits      engine.Limits      `json:"limits"`
	Layout      string             `json:"layout,omitempty"`
	Memo        string             `json:"memo,omitempty"`
	Description string             `json:"description,omitempty"`
	Created     time.Time          `json:"created"`
}

// compositionRecord is what only runs and readers of a composition need.
type compositionRecord struct {
	Format int    `json:"format"`
	Source string `json:"source"`
	Graph  []byte `json:"graph"`
}

// referencesRecord holds references of a composition as flat rows.
type referencesRecord struct {
	Format int   `json:"format"`
	Uses   []Use `json:"uses"`
}

func (v *Version) record() versionRecord {
	r := versionRecord{
		Format: v.Kind.format(), Kind: v.Kind, Tenant: v.Tenant, Name: v.Name, Number: v.Number, Digest: v.Digest, Code: v.Code,
		Signature: v.Signature, Limits: v.Limits, Layout: v.Layout, Memo: v.Memo, Description: v.Description, Created: v.Created,
	}
	if v.Kind == KindFunction {
		r.Kind = ""
	}
	return r
}

func (r versionRecord) version() *Version {
	return &Version{
		Tenant: r.Tenant, Name: r.Name, Kind: cmp.Or(r.Kind, KindFunction), Number: r.Number, Digest: r.Digest, Code: r.Code,
		Signature: r.Signature, Limits: r.Limits, Layout: r.Layout, Memo: r.Memo, Description: r.Description, Created: r.Created,
	}
}

func functionKey(tenant, name string) []byte {
	return append(append([]byte(tenant), 0), name...)
}

func versionKey(tenant, name string, number int64) []byte {
	return binary.BigEndian.AppendUint64(append(functionKey(tenant, name), 0), uint64(number))
}

func digestKey(tenant, name string, d data.Digest) []byte {
	return append(append(functionKey(tenant, name), 0), d[:]...)
}

func codePrefix(tenant string, d data.Digest) []byte {
	return append(append([]byte(tenant), 0), d[:]...)
}

func useKey(tenant string, code data.Digest, name string, number int64) []byte {
	return binary.BigEndian.AppendUint64(append(append(codePrefix(tenant, code), name...), 0), uint64(number))
}

// userKey is the key of how v uses a name.
func userKey(v *Version, name string) []byte {
	return binary.BigEndian.AppendUint64(append(append(append(functionKey(v.Tenant, name), 0), v.Name...), 0), uint64(v.Number))
}

// damaged says that a record can't be what was stored.
func damaged(what string) error { return fmt.Errorf("%w: record of %s", ErrDamaged, what) }

// records reads and writes records within one transaction.
type records struct{ tx *bbolt.Tx }

// function is the record of a name; a zero one if there is none.
func (r records) function(tenant, name string) (functionRecord, error) {
	var f functionRecord
	b := r.tx.Bucket(bucketFunctions).Get(functionKey(tenant, name))
	if b == nil {
		return functionRecord{Tenant: tenant, Next: 1, Tags: map[string]int64{}}, nil
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("%w: record of function %s: %w", ErrDamaged, name, err)
	}
	if f.Tags == nil {
		f.Tags = map[string]int64{}
	}
	return f, nil
}

// named is the record of a name that stands for kind, or for anything with "".
func (r records) named(tenant, name string, kind Kind) (functionRecord, error) {
	f, err := r.function(tenant, name)
	if err == nil && (f.Kind == "" || kind != "" && f.Kind != kind) {
		err = &NotFoundError{What: string(cmp.Or(kind, KindFunction)), Name: name, Other: f.Kind}
	}
	return f, err
}

func (r records) putFunction(name string, f functionRecord) error {
	f.Format = max(f.Format, f.Kind.format())
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("record of function %s: %w", name, err)
	}
	return r.tx.Bucket(bucketFunctions).Put(functionKey(f.Tenant, name), b)
}

// version is a version by number, or a *NotFoundError.
func (r records) version(tenant, name string, number int64) (*Version, error) {
	b := r.tx.Bucket(bucketVersions).Get(versionKey(tenant, name, number))
	if b == nil {
		return nil, &NotFoundError{What: "version", Name: Ref{Name: name, Number: number}.String()}
	}
	return decodeVersion(b)
}

// size is how many bytes the record of a version has.
func (r records) size(v *Version) int {
	return len(r.tx.Bucket(bucketVersions).Get(versionKey(v.Tenant, v.Name, v.Number)))
}

// has reports whether there is such a version.
func (r records) has(tenant string, id versionID) bool {
	return r.tx.Bucket(bucketVersions).Get(versionKey(tenant, id.name, id.number)) != nil
}

func decodeVersion(b []byte) (*Version, error) {
	var v versionRecord
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: record of a version: %w", ErrDamaged, err)
	}
	if v.Kind != "" && v.Kind != KindComposition {
		return nil, damaged(fmt.Sprintf("version %d of %.140q, a %.40q", v.Number, v.Name, v.Kind))
	}
	return v.version(), nil
}

// load reads what List and Versions leave out.
func (r records) load(v *Version) error {
	if v.Kind != KindComposition {
		return nil
	}
	var c compositionRecord
	b := r.tx.Bucket(bucketCompositions).Get(versionKey(v.Tenant, v.Name, v.Number))
	if b == nil {
		return damaged("composition " + versionID{v.Name, v.Number}.String() + " is missing")
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return fmt.Errorf("%w: %w", damaged("composition "+versionID{v.Name, v.Number}.String()), err)
	}
	uses, err := r.references(v)
	if err != nil {
		return err
	}
	v.Source, v.Graph, v.Uses = c.Source, c.Graph, uses
	return nil
}

// references are what a composition applies.
func (r records) references(v *Version) ([]Use, error) {
	return decodeReferences(r.tx.Bucket(bucketReferences).Get(versionKey(v.Tenant, v.Name, v.Number)), versionID{v.Name, v.Number})
}

func decodeReferences(b []byte, of versionID) ([]Use, error) {
	if b == nil {
		return nil, damaged("the references of " + of.String() + " is missing")
	}
	var c referencesRecord
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", damaged("the references of "+of.String()), err)
	}
	return c.Uses, nil
}

// formatOf is the format of a record of these references.
func formatOf(uses []Use) int {
	if slices.ContainsFunc(uses, func(u Use) bool { return u.IO }) {
		return formatIO
	}
	return formatCompositions
}

func encodeReferences(uses []Use) ([]byte, error) {
	b, err := json.Marshal(referencesRecord{Format: formatOf(uses), Uses: uses})
	if err != nil {
		return nil, fmt.Errorf("record of references: %w", err)
	}
	return b, nil
}

// putComposition writes what only compositions have, and marks the directory.
func (r records) putComposition(v *Version) error {
	content, err := json.Marshal(compositionRecord{Format: formatCompositions, Source: v.Source, Graph: v.Graph})
	if err != nil {
		return fmt.Errorf("record of composition %s@%d: %w", v.Name, v.Number, err)
	}
	references, err := encodeReferences(v.Uses)
	if err != nil {
		return err
	}
	if n := len(content) + len(references); n > MaxComposition {
		return fmt.Errorf("%w: its source, graph and references take %d bytes, and the most is %d", ErrTooLarge, n, MaxComposition)
	}
	key := versionKey(v.Tenant, v.Name, v.Number)
	if err := r.tx.Bucket(bucketCompositions).Put(key, content); err != nil {
		return err
	}
	if err := r.tx.Bucket(bucketReferences).Put(key, references); err != nil {
		return err
	}
	return r.mark(formatOf(v.Uses))
}

// mark makes the directory one of at least that format.
func (r records) mark(format int) error {
	meta := r.tx.Bucket(bucketMeta)
	have, err := strconv.Atoi(string(meta.Get(keyFormat)))
	if err != nil {
		return damaged("the directory's format")
	}
	if have >= format {
		return nil
	}
	return meta.Put(keyFormat, strconv.AppendInt(nil, int64(format), 10))
}

func (r records) putVersion(v *Version) error {
	b, err := json.Marshal(v.record())
	if err != nil {
		return fmt.Errorf("record of version %s@%d: %w", v.Name, v.Number, err)
	}
	if err := r.tx.Bucket(bucketVersions).Put(versionKey(v.Tenant, v.Name, v.Number), b); err != nil {
		return err
	}
	number := binary.BigEndian.AppendUint64(nil, uint64(v.Number))
	if err := r.tx.Bucket(bucketDigests).Put(digestKey(v.Tenant, v.Name, v.Digest), number); err != nil {
		return err
	}
	if v.Kind == KindComposition {
		return r.putComposition(v)
	}
	for _, code := range v.Code {
		if err := r.tx.Bucket(bucketUses).Put(useKey(v.Tenant, code.Digest, v.Name, v.Number), nil); err != nil {
			return err
		}
	}
	return nil
}

func (r records) deleteVersion(v *Version) error {
	if v.Kind == KindComposition {
		if err := r.count(v, false); err != nil {
			return err
		}
		for _, bucket := range [][]byte{bucketCompositions, bucketReferences} {
			if err := r.tx.Bucket(bucket).Delete(versionKey(v.Tenant, v.Name, v.Number)); err != nil {
				return err
			}
		}
	}
	if err := r.tx.Bucket(bucketVersions).Delete(versionKey(v.Tenant, v.Name, v.Number)); err != nil {
		return err
	}
	if err := r.tx.Bucket(bucketDigests).Delete(digestKey(v.Tenant, v.Name, v.Digest)); err != nil {
		return err
	}
	for _, code := range v.Code {
		if err := r.tx.Bucket(bucketUses).Delete(useKey(v.Tenant, code.Digest, v.Name, v.Number)); err != nil {
			return err
		}
	}
	return nil
}

// byDigest is the number of the version with that digest, or 0.
func (r records) byDigest(tenant, name string, d data.Digest) int64 {
	b := r.tx.Bucket(bucketDigests).Get(digestKey(tenant, name, d))
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// used reports whether any version refers to the code.
func (r records) used(tenant string, code data.Digest) bool {
	prefix := codePrefix(tenant, code)
	k, _ := r.tx.Bucket(bucketUses).Cursor().Seek(prefix)
	return k != nil && bytes.HasPrefix(k, prefix)
}

// resolve finds what a reference means now, without what load reads.
func (r records) resolve(tenant string, ref Ref) (*Version, error) {
	f, err := r.function(tenant, ref.Name)
	if err != nil {
		return nil, err
	}
	number, err := r.number(tenant, ref, f)
	if err != nil {
		return nil, err
	}
	return r.version(tenant, ref.Name, number)
}

// number is the number of what a reference means, f being the record of its
// name. With a number in the reference it may not exist.
func (r records) number(tenant string, ref Ref, f functionRecord) (int64, error) {
	switch {
	case f.Kind == "":
		return 0, &NotFoundError{What: string(KindFunction), Name: ref.Name}
	case !ref.Digest.IsZero():
		number := r.byDigest(tenant, ref.Name, ref.Digest)
		if number == 0 {
			return 0, &NotFoundError{What: "digest", Name: ref.String()}
		}
		return number, nil
	case ref.Number != 0:
		return ref.Number, nil
	}
	tag := cmp.Or(ref.Tag, LatestTag)
	number, ok := f.Tags[tag]
	if !ok {
		return 0, &NotFoundError{What: "tag", Name: ref.Name + "@" + tag}
	}
	return number, nil
}

// latest is what a name is shown by: the version that the tag latest names, or the
// newest.
func (r records) latest(tenant, name string, f functionRecord) (*Version, error) {
	if number, ok := f.Tags[LatestTag]; ok {
		return r.version(tenant, name, number)
	}
	v, err := r.newest(tenant, name)
	if err == nil && v == nil {
		err = fmt.Errorf("%w: function %s has no versions", ErrDamaged, name)
	}
	return v, err
}

// newest is the version of a function with the largest number.
func (r records) newest(tenant, name string) (*Version, error) {
	_, v, err := r.below(tenant, name, 0)
	return v, err
}

// all are the versions of a name, the oldest first.
func (r records) all(tenant, name string) (list []*Version, err error) {
	c := r.tx.Bucket(bucketVersions).Cursor()
	prefix := append(functionKey(tenant, name), 0)
	for k, b := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, b = c.Next() {
		v, err := decodeVersion(b)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// any reports whether a name has versions.
func (r records) any(tenant, name string) bool {
	prefix := append(functionKey(tenant, name), 0)
	k, _ := r.tx.Bucket(bucketVersions).Cursor().Seek(prefix)
	return bytes.HasPrefix(k, prefix)
}

// below is the newest version whose number is below before, or of all with 0. It
// is not for transactions that delete: going back, a cursor takes a page that
// became empty for the beginning.
func (r records) below(tenant, name string, before int64) (int64, *Version, error) {
	c := r.tx.Bucket(bucketVersions).Cursor()
	end := versionKey(tenant, name, before)
	if before == 0 {
		end = append(functionKey(tenant, name), 1)
	}
	k, _ := c.Seek(end)
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	prefix := append(functionKey(tenant, name), 0)
	if k == nil || !bytes.HasPrefix(k, prefix) || len(k) != len(prefix)+8 {
		return 0, nil, nil
	}
	v, err := decodeVersion(r.tx.Bucket(bucketVersions).Get(k))
	if err != nil {
		return 0, nil, err
	}
	return v.Number, v, nil
}
