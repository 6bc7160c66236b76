package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/api"
	"pappus/server/problem"
)

// toProblem says what an error means for the client. Errors that nobody
// foresaw are Internal, and their text stays in the log.
func toProblem(err error) *problem.Problem {
	var (
		p        *problem.Problem
		fault    *engine.Fault
		rejected *engine.RejectedError
		input    *dispatcher.InputError
		large    *dispatcher.TooLargeError
		limit    *engine.LimitError
		missing  *registry.NotFoundError
		name     *registry.NameError
		dataName *data.NameError
		routing  *echo.HTTPError
		invalid  *composition.InvalidError
		cycle    *registry.CycleError
		breaks   *registry.BreaksError
		used     *registry.InUseError
		uses     *registry.UsesError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &rejected): // may have a fault as its cause: of the module's initialisation
		return rejectedProblem(rejected)
	case errors.As(err, &fault):
		return problem.FromFault(fault)
	case errors.As(err, &limit):
		return problem.New(problem.BadLimit, limit.Error())
	case errors.As(err, &missing):
		return missingProblem(missing)
	case errors.As(err, &name):
		return problem.New(problem.BadName, name.Error())
	case errors.As(err, &dataName):
		return problem.New(problem.BadName, dataName.Error())
	case errors.As(err, &input):
		return problem.New(problem.BadRequest, input.Error())
	case errors.As(err, &large):
		return problem.New(problem.RequestTooLarge, large.Error())
	case errors.Is(err, dispatcher.ErrNotPure):
		p = problem.New(problem.MethodNotAllowed, err.Error())
		p.Hint = "Call it with POST."
		return p
	case errors.Is(err, dispatcher.ErrUnknownCode):
		return problem.New(problem.UnknownCode, err.Error())
	case errors.Is(err, registry.ErrReservedName):
		return problem.New(problem.ReservedName, err.Error())
	case errors.Is(err, registry.ErrOtherKind):
		return problem.New(problem.OtherKind, err.Error())
	case errors.Is(err, registry.ErrTooManyTags):
		p = problem.New(problem.BadRequest, err.Error())
		p.Hint = "Remove a tag that is not needed, or move one."
		return p
	case errors.As(err, &invalid):
		return invalidProblem(invalid)
	case errors.As(err, &cycle):
		return problem.New(problem.InvalidComposition, cycle.Error())
	case errors.As(err, &breaks):
		return usersProblem(problem.SignatureBreaks, breaks.Error(), breaks.Users, breaks.More)
	case errors.As(err, &uses):
		return problem.New(problem.BrokenComposition, uses.Error())
	case errors.Is(err, registry.ErrTooLarge):
		return problem.New(problem.RequestTooLarge, err.Error())
	case errors.As(err, &used):
		return usersProblem(problem.InUse, used.Error(), used.Users, used.More)
	case errors.Is(err, registry.ErrInUse):
		return problem.New(problem.InUse, err.Error())
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS):
		p = problem.New(problem.NoSpace, "")
	case errors.Is(err, registry.ErrDamaged):
		p = problem.New(problem.Damaged, "")
	case errors.As(err, &routing):
		p = routingProblem(routing)
	default:
		p = problem.New(problem.Internal, "")
	}
	p.Cause = err
	return p
}

func rejectedProblem(r *engine.RejectedError) *problem.Problem {
	code := problem.RejectedModule
	if r.Costly {
		code = problem.CompileTooCostly
	}
	p := problem.New(code, r.Reason)
	if r.Hint != "" {
		p.Hint = r.Hint
	}
	p.Imports = r.Imports
	return p
}

// missingProblem tells apart what was not found.
func missingProblem(e *registry.NotFoundError) *problem.Problem {
	code := problem.UnknownFunction
	switch e.What {
	case string(registry.KindComposition):
		code = problem.UnknownComposition
	case "version", "digest":
		code = problem.UnknownVersion
	case "tag":
		code = problem.UnknownTag
	}
	p := problem.New(code, e.Error())
	if len(e.Known) > 0 {
		p.Declared, p.Hint = e.Known, "Name one of those that the server has; docs/io.md describes them."
	}
	return p
}

// invalidProblem says all that is wrong with a source.
func invalidProblem(e *composition.InvalidError) *problem.Problem {
	p := problem.New(problem.InvalidComposition, e.Error())
	p.Errors, p.MoreErrors = placesOf(e.Diagnostics), e.More
	return p
}

// placesOf are places of a source, and what is to be said of them.
func placesOf(diagnostics []composition.Diagnostic) []api.Located {
	list := make([]api.Located, len(diagnostics))
	for i, d := range diagnostics {
		list[i] = api.Located{Line: d.Line, Column: d.Column, Message: d.Message, Hint: d.Hint, Source: d.Source, Caret: d.Caret}
	}
	return list
}

// usersProblem says which compositions are in the way of a change.
func usersProblem(code problem.Code, detail string, users []registry.User, more int) *problem.Problem {
	p := problem.New(code, detail)
	p.MoreUsers = more
	for _, u := range users {
		p.Users = append(p.Users, api.User{Name: u.Name, Version: u.Number, Ref: u.Ref.String(), Differs: u.Differs})
	}
	return p
}

// routingProblem takes over what echo's router says.
func routingProblem(e *echo.HTTPError) *problem.Problem {
	switch e.Code {
	case http.StatusNotFound:
		return problem.New(problem.NotFound, "")
	case http.StatusMethodNotAllowed:
		return problem.New(problem.MethodNotAllowed, "")
	default:
		return problem.New(problem.Internal, "")
	}
}

// fail answers with the problem of an error, or, if an answer has begun, cuts
// the connection so that it can't be taken for a whole one.
func (x *exchange) fail(err error) {
	if x.Response().Committed {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http closes the connection at it, and finish lets it through
	}
	p := *toProblem(err) // a copy: an error may be shared
	p.Instance = x.id
	if p.Status == http.StatusNotFound && p.Code() == problem.NotFound && p.Detail == "" {
		p.Detail = "there is nothing at " + quote(x.r.URL.Path)
	}
	if p.Status >= http.StatusInternalServerError && p.Cause != nil {
		x.server.log.LogAttrs(x.r.Context(), slog.LevelError, "request failed",
			slog.String("request", x.id), slog.String("route", x.route.path),
			slog.String("code", string(p.Code())), slog.String("error", p.Cause.Error()))
	}
	x.writeProblem(&p)
}

func (x *exchange) writeProblem(p *problem.Problem) {
	h := x.w.Header()
	h["Content-Type"] = valueProblem
	h["Cache-Control"] = []string{"no-store"}
	if p.Usage != nil {
		x.setHeader("Pappus-Fuel", slotFuel, strconv.FormatInt(p.Usage.Fuel, 10))
		if h["Server-Timing"] == nil { // which has more of a run
			x.setHeader("Server-Timing", slotTiming, string(appendMilliseconds([]byte(timingRun), p.Run)))
		}
	}
	if p.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10)}
	}
	p.Stderr = strings.ToValidUTF8(p.Stderr, "\uFFFD")
	body, err := json.Marshal(p)
	if err != nil { // a Problem has nothing that can't be marshalled
		panic(err) //nolint:forbidigo // finish answers with what went wrong
	}
	body = append(body, '\n')
	x.setHeader("Content-Length", slotLength, strconv.Itoa(len(body)))
	x.seen.Fault = string(p.Code())
	x.writeHeader(p.Status)
	x.sink.begin(x, false)
	x.sink.write(body)
}
