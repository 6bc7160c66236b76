package server

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/problem"
)

// eachParameter calls f for every parameter of a query, decoded, in order.
func eachParameter(raw string, f func(name, value string) error) error {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || strings.Contains(part, ";") {
			return problem.New(problem.BadParameter, "the query "+quote(part)+" can't be decoded; escape it as %XX")
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

func unknownParameter(name string, declared ...string) error {
	e := problem.New(problem.UnknownParameter, "there is no parameter "+quote(name)+" here")
	e.Declared = declared
	return e
}

func badParameter(name, message string) error {
	return problem.New(problem.BadParameter, name+": "+message)
}

// once refuses a parameter's second appearance.
func once(seen *bool, name string) error {
	if *seen {
		return badParameter(name, "appears twice")
	}
	*seen = true
	return nil
}

// noQuery is for routes without parameters.
func noQuery(raw string) error {
	return eachParameter(raw, func(name, _ string) error { return unknownParameter(name) })
}

// engineParameter names an engine.
const engineParameter = "engine"

// parseEngine reads the only parameter that a route has.
func parseEngine(raw string) (engine string, err error) {
	var has bool
	err = eachParameter(raw, func(name, value string) error {
		if name != engineParameter {
			return unknownParameter(name, engineParameter)
		}
		engine = value
		return once(&has, name)
	})
	return engine, err
}

// invokeQuery says where a raw body goes.
type invokeQuery struct {
	set, item               string
	key                     uint32
	hasSet, hasItem, hasKey bool
	runQuery
}

// runQuery says how what is called runs.
type runQuery struct {
	parallelism int // 0: not given
	trace       bool
	pure        bool // it is a GET: nothing may run that is not pure
}

// read takes a parameter, if it is one of these.
func (q *runQuery) read(name, value string) (known bool, err error) {
	switch name {
	case parallelismParameter:
		return true, readParallelism(&q.parallelism, value)
	case traceParameter:
		if value != "1" {
			return true, badParameter(name, quote(value)+" is not 1; leave it out for a run of which nothing is kept")
		}
		return true, once(&q.trace, name)
	}
	return false, nil
}

// raw reports whether the query makes the body raw whatever its type.
func (q *invokeQuery) raw() bool { return q.hasSet || q.hasItem || q.hasKey }

func parseInvokeQuery(raw string) (q invokeQuery, err error) {
	err = eachParameter(raw, func(name, value string) error {
		switch name {
		case "set":
			q.set = value
			return once(&q.hasSet, name)
		case "item":
			q.item = value
			return once(&q.hasItem, name)
		case "key":
			key, err := parseKey(value)
			if err != nil {
				return badParameter(name, err.Error())
			}
			q.key = key
			return once(&q.hasKey, name)
		}
		if known, err := q.read(name, value); known {
			return err
		}
		return unknownParameter(name, "set", "item", "key", parallelismParameter, traceParameter)
	})
	return q, err
}

// parallelismParameter is how many instances the any-forms of a composition may
// make, and traceParameter keeps the record of its run. Functions take them too,
// so that who calls need not know which it is.
const (
	parallelismParameter = "parallelism"
	traceParameter       = "trace"
)

func readParallelism(into *int, value string) error {
	n, err := strconv.Atoi(value)
	switch {
	case *into != 0:
		return badParameter(parallelismParameter, "appears twice")
	case err != nil, n < 1, n > dispatcher.MaxParallelism:
		return badParameter(parallelismParameter, quote(value)+" is not a number from 1 to "+strconv.Itoa(dispatcher.MaxParallelism))
	}
	*into = n
	return nil
}

// inputPrefix begins the parameters of a GET that are inputs.
const inputPrefix = "in."

// readQuery takes the items out of the query of an invocation by GET: each
// in.SET=TEXT is an item without a name, with key 0.
func readQuery(raw string, into *collector) (q runQuery, err error) {
	err = eachParameter(raw, func(name, value string) error {
		if known, err := q.read(name, value); known {
			return err
		}
		set, ok := strings.CutPrefix(name, inputPrefix)
		if !ok {
			return unknownParameter(name, append(inputNames(into.signature), parallelismParameter, traceParameter)...)
		}
		i, _, err := into.set(set)
		if err != nil {
			return err
		}
		return into.add(i, "", 0, []byte(value))
	})
	return q, err
}

// inputNames are the parameters that a function's signature makes possible.
func inputNames(sig *engine.Signature) []string {
	if sig.Open {
		return []string{inputPrefix + "SET"}
	}
	list := names(sig.Inputs)
	for i := range list {
		list[i] = inputPrefix + list[i]
	}
	return list
}

// publishQuery is what a registration says beside the code.
type publishQuery struct {
	signature       bool // input or output is present, so they are the whole signature
	inputs, outputs []engine.Param
	limits          engine.Limits
	memo            string
	tags            []string
	force           bool
}

func publishParameters() []string {
	return []string{"input", "output", "memory", "timeout", "fuel", "stack", "output-limit", "memo", "tag", forceParameter}
}

func parsePublishQuery(raw string) (publishQuery, error) {
	q := publishQuery{inputs: []engine.Param{}, outputs: []engine.Param{}}
	seen := make(map[string]bool)
	err := eachParameter(raw, func(name, value string) error {
		var err error
		repeats := false
		switch name {
		case "input":
			repeats, q.signature = true, true
			q.inputs, err = appendParam(q.inputs, value)
		case "output":
			repeats, q.signature = true, true
			q.outputs, err = appendParam(q.outputs, value)
		case "tag":
			repeats = true
			q.tags = append(q.tags, value)
		case "memory", "stack", "timeout", "fuel":
			err = q.limits.Set(name, value)
		case "output-limit":
			err = q.limits.Set("output", value)
		case "memo":
			if q.memo = value; value != engine.MemoAuto && value != engine.MemoOff {
				return badParameter(name, quote(value)+" is neither "+engine.MemoAuto+" nor "+engine.MemoOff)
			}
		case forceParameter:
			q.force, err = parseBool(value)
		default:
			return unknownParameter(name, publishParameters()...)
		}
		if err != nil {
			return badParameter(name, err.Error())
		}
		if seen[name] && !repeats {
			return badParameter(name, "appears twice")
		}
		seen[name] = true
		return nil
	})
	if err != nil {
		return q, err
	}
	sig := engine.Signature{Inputs: q.inputs, Outputs: q.outputs}
	if err := sig.Check(); err != nil {
		return q, problem.New(problem.BadParameter, err.Error())
	}
	return q, nil
}

// forceParameter asks for a change also where compositions are left broken.
const forceParameter = "force"

// parseForce is for routes whose only parameter that is.
func parseForce(raw string) (force bool, err error) {
	q, err := parseComposeQuery(raw, forceParameter)
	return q.force, err
}

// composeQuery is what requests of compositions may say.
type composeQuery struct {
	name  string
	tags  []string
	force bool
}

// parseComposeQuery reads those parameters that the route has.
func parseComposeQuery(raw string, declared ...string) (q composeQuery, err error) {
	var hasName, hasForce bool
	err = eachParameter(raw, func(name, value string) error {
		if !slices.Contains(declared, name) {
			return unknownParameter(name, declared...)
		}
		switch name {
		case "name":
			q.name = value
			if err := registry.CheckName(value); err != nil {
				return badParameter(name, err.Error())
			}
			return once(&hasName, name)
		case "tag":
			q.tags = append(q.tags, value)
			return nil
		default:
			var err error
			if q.force, err = parseBool(value); err != nil {
				return badParameter(name, err.Error())
			}
			return once(&hasForce, name)
		}
	})
	return q, err
}

func parseBool(value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, problemText(quote(value) + " is neither true nor false")
	}
	return value == "true", nil
}

// appendParam reads NAME, NAME/set or NAME/item.
func appendParam(params []engine.Param, value string) ([]engine.Param, error) {
	p := engine.Param{Name: value, Type: engine.TypeSet}
	if name, typ, ok := strings.Cut(value, "/"); ok {
		if typ != engine.TypeItem && typ != engine.TypeSet {
			return nil, problemText(quote(value) + " is not NAME, NAME/set or NAME/item")
		}
		p.Name, p.Type = name, typ
	}
	return append(params, p), nil
}

// problemText is an error that is only text, to be put into a problem.
type problemText string

func (t problemText) Error() string { return string(t) }

// pageQuery asks for one page of a list.
type pageQuery struct {
	cursor string
	limit  int
}

const (
	pageDefault = 100
	pageMax     = 1000
)

func parsePageQuery(raw string) (pageQuery, error) {
	q := pageQuery{limit: pageDefault}
	var hasCursor, hasLimit bool
	err := eachParameter(raw, func(name, value string) error {
		switch name {
		case "cursor":
			q.cursor = value
			return once(&hasCursor, name)
		case "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > pageMax {
				return badParameter(name, quote(value)+" is not a number from 1 to "+strconv.Itoa(pageMax))
			}
			q.limit = n
			return once(&hasLimit, name)
		default:
			return unknownParameter(name, "cursor", "limit")
		}
	})
	return q, err
}
