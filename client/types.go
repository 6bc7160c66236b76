package client

import "pappus/client/api"

// The documents of the API.
type (
	// Function describes one version of a function.
	Function = api.Function
	// Code is the code of a version for one engine.
	Code = api.Code
	// Limits bound what one run may take. Sizes are like "64MiB", durations
	// like "10s"; a Fuel of 0 is no limit but the timeout.
	Limits = api.Limits
	// Param is one input or output set of a signature.
	Param = api.Param
	// Composition describes one version of a composition. Lists leave out its
	// Source and Uses, and only registrations have Warnings.
	Composition = api.Composition
	// Use is what a composition applies, and the sets against which that was
	// checked.
	Use = api.Use
	// Checked is what a source would be as a composition.
	Checked = api.Checked
	// CompositionPage is a part of a list of compositions.
	CompositionPage = api.CompositionPage
	// User is a composition that applies what was to be changed.
	User = api.User
	// Page is a part of a list.
	Page = api.Page
	// Run is the record of a composition's run. Lists leave out its Applications.
	// Times within it are milliseconds since it began.
	Run = api.Run
	// RunApplication is what happened in one application of a run.
	RunApplication = api.RunApplication
	// RunInstance is what happened in one instance of an application.
	RunInstance = api.RunInstance
	// RunRequest is what an I/O function had another do.
	RunRequest = api.RunRequest
	// RunPage is a part of a list of runs.
	RunPage = api.RunPage
	// Memo is figures of what a server remembers of calls.
	Memo = api.Memo
	// MemoCalls says how calls were answered.
	MemoCalls = api.MemoCalls
	// MemoFunction is the figures of one function.
	MemoFunction = api.MemoFunction
	// Problem is the server's answer to a request that failed, an RFC 9457
	// problem document. It is an error.
	Problem = api.Problem
	// Located is something wrong at a place of the request.
	Located = api.Located
	// Usage is what a run took, as far as it is deterministic.
	Usage = api.Usage
)
