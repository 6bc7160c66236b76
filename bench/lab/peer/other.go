package peer

import (
	"context"
	"os/exec"
	"strconv"

	"pappus/bench/process"
)

// other is a program that the project does not have, given by its path. It is
// started with the number of its functions as its argument, prints "listening on
// http://ADDRESS", and answers POST /fN as samples/matmul-size does. What speaks
// another language needs a small program before it that translates.
type other struct {
	Setup
	name, program string
}

func (o *other) Name() string { return o.name }
func (*other) Gives() string  { return "what the program given by its path gives" }

func (o *other) Start(ctx context.Context, functions int) (*Running, error) {
	program, err := exec.LookPath(o.program)
	if err != nil {
		return nil, skip("%v", err)
	}
	p, err := process.Start(ctx, program, strconv.Itoa(functions))
	if err != nil {
		return nil, err
	}
	return running(p, functions, numbered), nil
}
