package registry

import (
	"os"
	"path/filepath"
	"testing"

	"pappus/data"
)

// testdata/format1 is a directory as it was before there were compositions: f in
// two versions, g, and what is left of a function that was deleted.
func oldDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "format1"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func directoryFormat(t *testing.T, r *Registry) string {
	t.Helper()
	var format string
	if err := r.view(t.Context(), func(rec records) error {
		format = string(rec.tx.Bucket(bucketMeta).Get(keyFormat))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return format
}

// It opens, means what it meant, and stays what it was until it holds a
// composition. The digests were printed by the program that made it.
func TestDirectoryOfFormat1(t *testing.T) {
	r := open(t, oldDirectory(t))
	for text, want := range map[string]string{
		"f":      "sha256:6490c5c20d89539f1d201c9db15f7f6b62264c759031447ff2a16ee493170716",
		"f@1":    "sha256:9f1952fab8af4a47e49df60a5cd6dd87350863658aa1596590bcc1d97ed2a6e5",
		"g@beta": "sha256:9f1952fab8af4a47e49df60a5cd6dd87350863658aa1596590bcc1d97ed2a6e5",
	} {
		ref, err := ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Resolve(t.Context(), DefaultTenant, ref)
		if err != nil || v.Digest.String() != want || v.Kind != KindFunction {
			t.Errorf("%s is %+v (%v)", text, v, err)
		}
	}
	v, created, err := r.Put(t.Context(), registration("f", "two"))
	if err != nil || created || v.Number != 2 {
		t.Errorf("the same again: %+v, %v, %v", v, created, err)
	}
	if code, err := r.Code(t.Context(), DefaultTenant, data.Sum([]byte("one"))); err != nil || string(code) != "one" {
		t.Errorf("code %q (%v)", code, err)
	}
	if v := put(t, r, registration("gone", "four")); v.Number != 2 {
		t.Errorf("a number is used again: %d", v.Number)
	}
	if format := directoryFormat(t, r); format != "1" {
		t.Errorf("without compositions it has format %s", format)
	}
	put(t, r, composition(t, r, "c", "f"))
	if format := directoryFormat(t, r); format != "2" {
		t.Errorf("with a composition it has format %s", format)
	}
}
