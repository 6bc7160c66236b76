package registry

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"pappus/data"
	"pappus/engine"
)

// formatVersion is the version of the records, keys and folders below. Every
// record carries it.
const formatVersion = 1

// Buckets and keys. Tenants and names hold no zero byte, so it separates.
//
//	meta:      "format"                            → "1"
//	functions: TENANT 0 NAME                       → functionRecord
//	versions:  TENANT 0 NAME 0 number (8, BE)      → versionRecord
//	digests:   TENANT 0 NAME 0 digest (32)         → number (8, BE)
//	uses:      TENANT 0 digest (32) NAME 0 number  → "" : a version uses this code
var (
	bucketMeta      = []byte("meta")
	bucketFunctions = []byte("functions")
	bucketVersions  = []byte("versions")
	bucketDigests   = []byte("digests")
	bucketUses      = []byte("uses")
	keyFormat       = []byte("format")
)

func buckets() [][]byte {
	return [][]byte{bucketMeta, bucketFunctions, bucketVersions, bucketDigests, bucketUses}
}

// Kinds of names: functions and compositions share one namespace.
const kindFunction = "function"

// functionRecord is what is known of a name. It outlives the deletion of its
// versions, because numbers are never used again.
type functionRecord struct {
	Format int              `json:"format"`
	Tenant string           `json:"tenant"`
	Kind   string           `json:"kind"` // "" once all versions are deleted: the name is free
	Next   int64            `json:"next"` // number of the next version
	Tags   map[string]int64 `json:"tags"`
}

type versionRecord struct {
	Format      int                `json:"format"`
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

func (v *Version) record() versionRecord {
	return versionRecord{
		Format: formatVersion, Tenant: v.Tenant, Name: v.Name, Number: v.Number, Digest: v.Digest, Code: v.Code,
		Signature: v.Signature, Limits: v.Limits, Layout: v.Layout, Memo: v.Memo, Description: v.Description, Created: v.Created,
	}
}

func (r versionRecord) version() *Version {
	return &Version{
		Tenant: r.Tenant, Name: r.Name, Number: r.Number, Digest: r.Digest, Code: r.Code,
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

// records reads and writes records within one transaction.
type records struct{ tx *bbolt.Tx }

// function is the record of a name; a zero one if there is none.
func (r records) function(tenant, name string) (functionRecord, error) {
	var f functionRecord
	b := r.tx.Bucket(bucketFunctions).Get(functionKey(tenant, name))
	if b == nil {
		return functionRecord{Format: formatVersion, Tenant: tenant, Next: 1, Tags: map[string]int64{}}, nil
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("%w: record of function %s: %w", ErrDamaged, name, err)
	}
	if f.Tags == nil {
		f.Tags = map[string]int64{}
	}
	return f, nil
}

func (r records) putFunction(name string, f functionRecord) error {
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

func decodeVersion(b []byte) (*Version, error) {
	var v versionRecord
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: record of a version: %w", ErrDamaged, err)
	}
	return v.version(), nil
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
	for _, code := range v.Code {
		if err := r.tx.Bucket(bucketUses).Put(useKey(v.Tenant, code.Digest, v.Name, v.Number), nil); err != nil {
			return err
		}
	}
	return nil
}

func (r records) deleteVersion(v *Version) error {
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

// resolve finds what a reference means now.
func (r records) resolve(tenant string, ref Ref) (*Version, error) {
	f, err := r.function(tenant, ref.Name)
	if err != nil {
		return nil, err
	}
	if f.Kind != kindFunction {
		return nil, &NotFoundError{What: "function", Name: ref.Name}
	}
	number := ref.Number
	switch {
	case !ref.Digest.IsZero():
		if number = r.byDigest(tenant, ref.Name, ref.Digest); number == 0 {
			return nil, &NotFoundError{What: "digest", Name: ref.String()}
		}
	case number == 0:
		tag := ref.Tag
		if tag == "" {
			tag = LatestTag
		}
		var ok bool
		if number, ok = f.Tags[tag]; !ok {
			return nil, &NotFoundError{What: "tag", Name: ref.Name + "@" + tag}
		}
	}
	return r.version(tenant, ref.Name, number)
}

// newest is the version of a function with the largest number.
func (r records) newest(tenant, name string) (*Version, error) {
	_, v, err := r.below(tenant, name, 0)
	return v, err
}

// below is the newest version whose number is below before, or of all with 0.
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
