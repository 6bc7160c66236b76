package binary

// Caps bound a module. They are chosen so that finished programs (Go binaries,
// SQLite, interpreters) stay below, and so that what costs later stages more
// than its own length (locals, branch tables, blocks) stays affordable.
// Zero is a bound like any other: start from DefaultCaps.
type Caps struct {
	Module      int // bytes of the module
	Body        int // bytes of a function's body
	Params      int // parameters of a type
	Results     int // results of a type
	Locals      int // locals of a function, parameters included
	AllLocals   int // locals of all functions, parameters included
	Blocks      int // block, loop and if instructions of a function
	Calls       int // call instructions of a function
	Nesting     int // blocks within each other
	BranchWork  int // sum over all br_table of (targets × values carried)
	Types       int
	Functions   int // imported and defined
	Imports     int
	Exports     int
	Globals     int // imported and defined
	Tables      int // imported and defined
	TableSize   int // initial entries of all tables together
	Elements    int // element segments
	ElementSize int // entries of all element segments together
	Data        int // data segments
	Customs     int // custom sections
	Name        int // bytes of one name: imports, exports, custom sections
	ConstExpr   int // bytes of one constant expression
}

// DefaultCaps are the caps that the platform uses.
func DefaultCaps() Caps {
	return Caps{
		Module:      64 << 20,
		Body:        8 << 20,
		Params:      128,
		Results:     128,
		Locals:      5_000,
		AllLocals:   1_000_000,
		Blocks:      200_000,
		Calls:       200_000,
		Nesting:     50_000,
		BranchWork:  10_000_000,
		Types:       50_000,
		Functions:   200_000,
		Imports:     1_000,
		Exports:     20_000,
		Globals:     50_000,
		Tables:      64,
		TableSize:   200_000,
		Elements:    10_000,
		ElementSize: 1_000_000,
		Data:        50_000,
		Customs:     1_000,
		Name:        16 << 10,
		ConstExpr:   1 << 10,
	}
}

// Each calls f with the name of every cap, in words and hyphens, and where it
// is kept.
func (c *Caps) Each(f func(name string, bound *int)) {
	f("module", &c.Module)
	f("body", &c.Body)
	f("params", &c.Params)
	f("results", &c.Results)
	f("locals", &c.Locals)
	f("all-locals", &c.AllLocals)
	f("blocks", &c.Blocks)
	f("calls", &c.Calls)
	f("nesting", &c.Nesting)
	f("branch-work", &c.BranchWork)
	f("types", &c.Types)
	f("functions", &c.Functions)
	f("imports", &c.Imports)
	f("exports", &c.Exports)
	f("globals", &c.Globals)
	f("tables", &c.Tables)
	f("table-size", &c.TableSize)
	f("elements", &c.Elements)
	f("element-size", &c.ElementSize)
	f("data", &c.Data)
	f("customs", &c.Customs)
	f("name", &c.Name)
	f("const-expr", &c.ConstExpr)
}
