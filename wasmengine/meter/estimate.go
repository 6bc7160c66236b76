package meter

import "pappus/wasmengine/binary"

// Estimate is what is known of a function without running it.
type Estimate struct {
	Frame int64 // what a call is charged of the stack, in bytes

	// Fuel is what each instruction costs once, those aside that are never
	// reached: what a call costs that runs all of them, without what depends on
	// lengths. Loops cost more, branches that are not taken less.
	Fuel int64
}

// An Estimator estimates the functions of one module. It is for one goroutine.
type Estimator struct{ planner planner }

// NewEstimator makes an estimator of a module that was decoded, at least up to
// the functions that it is asked about.
func NewEstimator(m *binary.Module) *Estimator {
	return &Estimator{planner{m: m, keepNaNs: true}}
}

// Function estimates the function of the module's body i.
func (e *Estimator) Function(i int) (Estimate, error) {
	m := e.planner.m
	b, t := &m.Bodies[i], &m.Types[m.FuncTypes[i]]
	p, err := e.planner.planBody(b, t)
	if err != nil {
		return Estimate{}, err
	}
	est := Estimate{Frame: p.frame(b, t)}
	for _, c := range p.charges {
		est.Fuel += c.cost
	}
	return est, nil
}

// TakesPlace reports whether a call is one that takes the place of its caller's
// frame.
func (e *Estimator) TakesPlace(in *binary.Instr) bool {
	return (in.Op == binary.OpReturnCall || in.Op == binary.OpReturnCallIndirect) && inRegisters(e.planner.callee(in))
}
