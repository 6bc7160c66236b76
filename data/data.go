package data

import (
	"bytes"
	"cmp"
	"slices"
	"sync/atomic"
)

// Item is contiguous bytes with a name and a key: the smallest thing that
// flows between functions. An Item does not change once it is made, so it may
// be shared by any number of sets and goroutines. Its bytes may lie in memory
// that somebody else gives back later (an engine's context, say): whoever
// passes such an item on says until when it may be read.
type Item struct {
	name   string
	key    uint32
	bytes  []byte
	digest atomic.Pointer[Digest]
}

// NewItem makes an item that refers to content without copying it; content
// must not change while the item is in use. The name is not checked here:
// CheckItemName is for borders, where names come from outside.
func NewItem(name string, key uint32, content []byte) *Item {
	return &Item{name: name, key: key, bytes: content}
}

// Init makes it the item that NewItem would have returned, for callers that
// keep many items in one slice. It must not be called on an item that is
// already in use.
func (it *Item) Init(name string, key uint32, content []byte) {
	it.name, it.key, it.bytes = name, key, content
	it.digest.Store(nil)
}

// Move has the item refer to a copy of its content that lies elsewhere. As Init, it
// must not be called on an item that is already in use.
func (it *Item) Move(content []byte) { it.bytes = content }

// Name is the item's name; it may be empty.
func (it *Item) Name() string { return it.name }

// Key is what keyed sharding and joins look at, and what items are ordered by.
func (it *Item) Key() uint32 { return it.key }

// Bytes is the item's content. It must not be written to.
func (it *Item) Bytes() []byte { return it.bytes }

// Len is the length of the content in bytes.
func (it *Item) Len() int { return len(it.bytes) }

// Digest is the SHA-256 of the content (name and key are not part of it). It
// is computed at the first call and remembered with the item; callers that
// race compute it twice and agree.
func (it *Item) Digest() Digest {
	if d := it.digest.Load(); d != nil {
		return *d
	}
	d := Sum(it.bytes)
	it.digest.Store(&d)
	return d
}

// Digested reports whether the digest is known, so that Digest costs nothing.
func (it *Item) Digested() bool { return it.digest.Load() != nil }

// Clone returns an item with a copy of the content, which therefore outlives
// the memory that the original refers to. A known digest travels with it.
func (it *Item) Clone() *Item {
	c := NewItem(it.name, it.key, bytes.Clone(it.bytes))
	c.digest.Store(it.digest.Load())
	return c
}

// Equal reports whether both items have the same name, key and content.
func (it *Item) Equal(other *Item) bool {
	return it.name == other.name && it.key == other.key && bytes.Equal(it.bytes, other.bytes)
}

// Set is an ordered list of items under a name: what functions take and give.
type Set struct {
	Name  string
	Items []*Item
}

// Size is the number of content bytes of all items.
func (s Set) Size() int64 {
	var n int64
	for _, it := range s.Items {
		n += int64(len(it.bytes))
	}
	return n
}

// Equal reports whether both sets have the same name and equal items in the
// same order.
func (s Set) Equal(other Set) bool {
	return s.Name == other.Name && slices.EqualFunc(s.Items, other.Items, (*Item).Equal)
}

// Ordered reports whether the items stand in the order of their keys.
func (s Set) Ordered() bool {
	for i := 1; i < len(s.Items); i++ {
		if s.Items[i-1].key > s.Items[i].key {
			return false
		}
	}
	return true
}

// Order brings the items into the order of their keys, in place; items of
// equal key keep their order. Every border does this, so that a function sees
// the same items however it is called.
func (s Set) Order() {
	if s.Ordered() {
		return
	}
	slices.SortStableFunc(s.Items, func(a, b *Item) int { return cmp.Compare(a.key, b.key) })
}

// Size is the number of content bytes in all sets.
func Size(sets []Set) int64 {
	var n int64
	for _, s := range sets {
		n += s.Size()
	}
	return n
}

// Count is the number of items in all sets.
func Count(sets []Set) int {
	n := 0
	for _, s := range sets {
		n += len(s.Items)
	}
	return n
}

// Equal reports whether both lists hold equal sets in the same order.
func Equal(a, b []Set) bool { return slices.EqualFunc(a, b, Set.Equal) }
