package meter

import (
	"fmt"

	"pappus/wasmengine/binary"
)

// Options say what a rewritten module leaves to its caller.
type Options struct {
	// Image leaves the initial memory to the caller, who writes or maps it
	// faster than the segments are copied: active data segments are empty in
	// the result. Where that would change what the module does, the result has
	// its segments and Metered.Image is false.
	Image bool

	// Globals exports the mutable globals besides, so that the caller can start
	// an instance from what they were after initialisation.
	Globals bool

	// Origins tells where code comes from: Metered.Origins.
	Origins bool

	// Customs are custom sections that the result has besides the names.
	Customs []binary.Custom

	// KeepNaNs leaves NaNs as the processor makes them, so that results depend
	// on it. It is there to measure what canonical ones cost.
	KeepNaNs bool
}

// maxImageGlobals bounds the exports that Options.Globals adds.
const maxImageGlobals = 1000

// emptySegment is the index of a data segment without bytes, behind the module's
// own. An active segment has none left once the module is instantiated, but
// wazero keeps them: memory.init of an active one is one of this.
func (w *rewriter) emptySegment() uint32 {
	w.empty = true
	return uint32(len(w.m.Data))
}

// data is the module's data segments and the empty one, if it is used.
func (w *rewriter) data(own []binary.Data) []binary.Data {
	if w.empty {
		own = append(own[:len(own):len(own)], binary.Data{Mode: binary.Passive})
	}
	return own
}

// leaveImage empties active data segments and lists the mutable globals to
// export. It does nothing unless the code changes neither tables nor segments,
// and memory and globals can be put where they were.
func (w *rewriter) leaveImage() (globals []uint32) {
	if !w.options.Image {
		return nil
	}
	if !w.resettable {
		w.stats.NoImage = fmt.Sprintf("function %d changes a table or drops a segment", w.keeper)
		return nil
	}
	for i := range w.m.Data {
		if d := &w.m.Data[i]; d.Mode == binary.Active && !d.Known {
			w.stats.NoImage = fmt.Sprintf("where data segment %d goes is not known before it is instantiated", i)
			return nil
		}
	}
	if w.options.Globals {
		for i := range w.m.Globals {
			g := &w.m.Globals[i]
			if !g.Mutable {
				continue
			}
			if g.Type != binary.I32 && g.Type != binary.I64 && g.Type != binary.F32 && g.Type != binary.F64 {
				w.stats.NoImage = fmt.Sprintf("it initialises, and its mutable global %d is of type %v", i, g.Type)
				return nil
			}
			if len(globals) == maxImageGlobals {
				w.stats.NoImage = fmt.Sprintf("it initialises, and has more than %d mutable globals", maxImageGlobals)
				return nil
			}
			globals = append(globals, uint32(i))
		}
	}
	own := make([]binary.Data, len(w.m.Data)) // they stay, for those who count them
	for i, d := range w.m.Data {
		if d.Mode == binary.Active {
			d.OffsetExpr, d.Bytes = []byte{byte(binary.OpI32Const), 0, byte(binary.OpEnd)}, nil
		}
		own[i] = d
	}
	w.out.Data = w.data(own)
	w.stats.Image = true
	return globals
}
