package server

import (
	"fmt"
	"strconv"
	"strings"

	"pappus/data"
	"pappus/engine"
	"pappus/server/problem"
)

// Names that a raw body gets when the request does not say.
const (
	bodyItem  = "body"  // the item
	openInput = "input" // the set, of a function without a signature

	stdioSet   = "stdio" // has the raw body as stdinItem, and gives stdoutItem as the raw answer
	stdinItem  = "stdin"
	stdoutItem = "stdout"
	stderrItem = "stderr"
)

// collector gathers the items of one request into sets, and holds them to the
// function's signature and the limits.
type collector struct {
	signature *engine.Signature
	limit     int     // items
	memory    charger // is charged what items take besides their contents

	sets  []data.Set
	index map[string]int // of sets
	count int
	cells []data.Item // for the next items
	owed  int64       // bytes that are not charged yet
}

// charger charges memory to a request.
type charger interface {
	charge(n int64) error
}

var _ charger = (*exchange)(nil)

// cellBlock is how many items are allocated at once, itemBytes what each takes with
// its place in a set, which grows, and nameBytes to what a name is rounded up. What is
// owed is charged from chargeStep bytes on; the first block is a part of what every
// request takes.
const (
	cellBlock  = 64
	itemBytes  = 80
	nameBytes  = 16
	chargeStep = 4 << 10
)

// set finds or begins the set of that name; fresh says that it began.
func (c *collector) set(name string) (i int, fresh bool, err error) {
	if i, ok := c.index[name]; ok {
		return i, false, nil
	}
	if err := checkSet(c.signature, name); err != nil {
		return 0, false, err
	}
	if len(c.sets) == engine.MaxParams {
		return 0, false, problem.New(problem.RequestTooLarge, fmt.Sprintf("there are more than %d sets", engine.MaxParams))
	}
	if c.index == nil {
		c.index = make(map[string]int)
	}
	i = len(c.sets)
	name = strings.Clone(name) // it may be a part of something large
	c.index[name] = i
	c.sets = append(c.sets, data.Set{Name: name})
	return i, true, nil
}

// add appends an item that refers to content. The name is kept as it is.
func (c *collector) add(set int, name string, key uint32, content []byte) error {
	if err := data.CheckItemName(name); err != nil {
		return problem.New(problem.BadName, err.Error())
	}
	if c.count++; c.count > c.limit {
		return problem.New(problem.RequestTooLarge, "there are more than "+strconv.Itoa(c.limit)+" items")
	}
	c.owed += int64(len(name)+nameBytes-1) / nameBytes * nameBytes
	if len(c.cells) == 0 && c.count > 1 {
		c.owed += cellBlock * itemBytes
	}
	if c.owed >= chargeStep {
		if err := c.memory.charge(c.owed); err != nil {
			return err
		}
		c.owed = 0
	}
	if len(c.cells) == 0 {
		c.cells = make([]data.Item, cellBlock)
	}
	it := &c.cells[0]
	c.cells = c.cells[1:]
	it.Init(name, key, content)
	s := &c.sets[set]
	s.Items = append(s.Items, it)
	return nil
}

// done returns the sets, their items in key order.
func (c *collector) done() []data.Set {
	for _, s := range c.sets {
		s.Order()
	}
	return c.sets
}

// checkSet refuses a set that the signature does not declare.
func checkSet(sig *engine.Signature, name string) error {
	if !sig.Open {
		if sig.Input(name) >= 0 {
			return nil
		}
		e := problem.New(problem.UnknownSet, "the function has no input set "+quote(name))
		e.Declared = names(sig.Inputs)
		return e
	}
	if err := data.CheckSetName(name); err != nil {
		return problem.New(problem.BadName, err.Error())
	}
	return nil
}

func names(params []engine.Param) []string {
	list := make([]string, len(params))
	for i, p := range params {
		list[i] = p.Name
	}
	return list
}

// rawTarget is where the item of a raw body goes: the places that the request
// names, else those that the signature suggests. The set is empty when the
// function takes no input at all.
func rawTarget(sig *engine.Signature, q *invokeQuery) (set, item string, err error) {
	switch {
	case q.hasSet:
		set = q.set
	case sig.Input(stdioSet) >= 0:
		set = stdioSet
	case len(sig.Inputs) > 0:
		set = sig.Inputs[0].Name
	case sig.Open:
		set = openInput
	}
	switch {
	case q.hasItem:
		item = q.item
	case set == stdioSet:
		item = stdinItem
	default:
		item = bodyItem
	}
	if q.hasSet {
		if err := checkSet(sig, set); err != nil {
			return "", "", err
		}
	}
	if q.hasItem {
		if err := data.CheckItemName(item); err != nil {
			return "", "", problem.New(problem.BadName, err.Error())
		}
	}
	return set, item, nil
}

// quote shows what came from outside in a message, cut to a sensible length.
func quote(s string) string { return fmt.Sprintf("%.120q", s) }
