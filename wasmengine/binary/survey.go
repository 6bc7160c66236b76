package binary

// Section is a section of a module, as it lies in its bytes.
type Section struct {
	Name   string // "custom", "type", "import" …
	Offset int    // of its number, bytes
	Size   int    // of its content, bytes
}

// A Survey is what can be read of a module, whether Decode would accept it or not.
type Survey struct {
	// Module has what was read: all of it if Broken is nil. Of a broken module,
	// functions may be declared that have no body here, and indices in what came
	// last may lead nowhere.
	Module   *Module
	Sections []Section // those that were begun, in the order of the module
	Limits   []*Error  // caps that the module exceeds, in the order of the module
	More     int       // how many others there are besides Limits
	Broken   *Error    // why the rest could not be read; nil if all was
}

// Err is the error that Decode gives for the same module, or nil.
func (s *Survey) Err() error {
	switch {
	case len(s.Limits) > 0:
		return s.Limits[0]
	case s.Broken != nil:
		return s.Broken
	}
	return nil
}

// Explore reads a module as Decode does, but goes on where the module exceeds
// a cap, up to several times as much, so that all of them can be told. Its time
// and memory grow in proportion to the length of the module, too.
func Explore(code []byte, caps Caps) *Survey {
	noted := new(overruns)
	d := &decoder{cursor: cursor{b: code, fn: -1, past: noted}, caps: caps, m: &Module{Start: -1}}
	d.module()
	return &Survey{Module: d.m, Sections: d.sections, Limits: noted.list, More: noted.more, Broken: d.err}
}

// overruns are the caps that a survey found exceeded.
type overruns struct {
	list []*Error
	more int
}

// maxOverruns is how many of them are told.
const maxOverruns = 100

func (o *overruns) add(e *Error) {
	if len(o.list) == maxOverruns {
		o.more++
		return
	}
	o.list = append(o.list, e)
}

// hopeless tells that n is so far above a cap that a survey ends there: what
// it kept for each of them would take much more memory than the module.
func hopeless(n int64, limit int) bool { return n > 4*max(int64(limit), 0)+1000 }

// Caps on sums, which are exceeded again by everything that follows.
const (
	overAllLocals = iota
	overBranchWork
	overTableSize
	overTables
	overKinds
)

// first tells that a cap on a sum was not found exceeded before.
func (d *decoder) first(kind int) bool {
	before := d.noted[kind]
	d.noted[kind] = true
	return !before
}
