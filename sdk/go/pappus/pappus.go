package pappus

import "errors"

// Item is bytes with a name and a key.
//
// In a function the bytes of inputs lie where the platform placed them. They are
// the function's: it may change them, and give them out again.
type Item struct {
	Name string // need not be unique in its set
	Key  uint32 // the items of a set are ordered by it
	Data []byte
}

// Inputs are the items of the input sets by their names, in order. A set without
// items is there too.
type Inputs map[string][]Item

// Outputs are the items of the output sets by their names. A set that is left
// out is empty. Nothing is copied: the bytes must stay as they are once they are
// returned.
type Outputs map[string][]Item

// Function does the work: what it gives depends on its inputs and on nothing
// else. An error fails the call with exit code 1, or with that of an *Exit.
type Function func(Inputs) (Outputs, error)

// Add adds an item with key 0 to a set.
func (o Outputs) Add(set, name string, data []byte) {
	o[set] = append(o[set], Item{Name: name, Data: data})
}

// One is the item of a set that has one; without one, or with several, it is an
// error.
func (in Inputs) One(set string) (Item, error) {
	items, ok := in[set]
	switch {
	case !ok:
		return Item{}, errors.New("there is no input set " + set)
	case len(items) != 1:
		return Item{}, errors.New("the input set " + set + " has not one item")
	}
	return items[0], nil
}

// Find is the first item of a name in a set.
func (in Inputs) Find(set, name string) (item Item, ok bool) {
	for _, item := range in[set] {
		if item.Name == name {
			return item, true
		}
	}
	return Item{}, false
}

// Exit is an error with an exit code.
type Exit struct {
	Code int // from 1 to 255; what is outside of that becomes 1
	Err  error
}

var _ error = (*Exit)(nil)

func (e *Exit) Error() string { return e.Err.Error() }

// Unwrap is the error that was given the code.
func (e *Exit) Unwrap() error { return e.Err }

// Main makes a function the program's: it is called from main. In a function it
// returns when the call is over, elsewhere it does not return.
func Main(f Function) { start(f) }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var exit *Exit
	if errors.As(err, &exit) && exit.Code >= 1 && exit.Code <= 255 {
		return exit.Code
	}
	return 1
}
