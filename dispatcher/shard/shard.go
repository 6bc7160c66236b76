package shard

// Kind is how the set of one parameter is divided among instances.
type Kind uint8

// The kinds of division.
const (
	All      Kind = iota // every instance gets the whole set
	Each                 // one item an instance
	Keyed                // one group of equal keys an instance, keys ascending
	AnyEach              // like Each, but several consecutive items share an instance
	AnyKeyed             // like Keyed, but several consecutive groups share an instance
)

// String is the word of the language.
func (k Kind) String() string {
	return [...]string{"all", "each", "keyed", "anyEach", "anyKeyed"}[k]
}

// Keys reports whether the division is by keys, so that the parameter can be
// joined.
func (k Kind) Keys() bool { return k == Keyed || k == AnyKeyed }

// Join is how a parameter is joined to those before it in a chain.
type Join uint8

// The kinds of joins.
const (
	Cross Join = iota // all pairs, after which the right one's key counts
	Inner             // keys in both
	Left              // every key of the left, the right empty where it has none
	Right             // every key of the right, the left empty where it has none
	Full              // every key of either
)

// String is the word of the language.
func (j Join) String() string {
	return [...]string{"cross", "inner", "left", "right", "full"}[j]
}
