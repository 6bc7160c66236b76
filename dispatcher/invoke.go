package dispatcher

import (
	"time"

	"pappus/data"
	"pappus/engine"
)

// Answer is what an invocation left. Its outputs are valid until Release.
type Answer struct {
	Outputs []data.Set // every declared output set, in order
	Usage   engine.Usage

	Queue   time.Duration // waiting for a permit and memory
	Prepare time.Duration // waiting for the program to be loaded
	Run     time.Duration // in the engine
}
