package problem

import (
	"net/http"

	"pappus/engine"
)

// Code names a way to fail. It is the last part of a problem's type and never
// changes its meaning.
type Code string

// Codes that the server itself raises. Faults of functions have the text of
// their engine.FaultKind as code.
const (
	BadRequest         Code = "bad-request"
	BadParameter       Code = "bad-parameter"
	UnknownParameter   Code = "unknown-parameter"
	BadName            Code = "bad-name"
	BadBody            Code = "bad-body"
	UnknownSet         Code = "unknown-set"
	BadLimit           Code = "bad-limit"
	ForeignHost        Code = "foreign-host"
	ForeignOrigin      Code = "foreign-origin"
	NotFound           Code = "not-found"
	UnknownFunction    Code = "unknown-function"
	UnknownComposition Code = "unknown-composition"
	UnknownVersion     Code = "unknown-version"
	UnknownTag         Code = "unknown-tag"
	UnknownRun         Code = "unknown-run"
	MethodNotAllowed   Code = "method-not-allowed"
	NotAcceptable      Code = "not-acceptable"
	TooSlow            Code = "too-slow"
	PreconditionFailed Code = "precondition-failed"
	ReservedName       Code = "reserved-name"
	OtherKind          Code = "other-kind"
	InUse              Code = "in-use"
	SignatureBreaks    Code = "signature-breaks"
	BrokenComposition  Code = "broken-composition"
	RequestTooLarge    Code = "request-too-large"
	ContentEncoding    Code = "content-encoding"
	UnknownCode        Code = "unknown-code"
	RejectedModule     Code = "rejected-module"
	CompileTooCostly   Code = "compile-too-costly"
	InvalidComposition Code = "invalid-composition"
	Internal           Code = "internal"
	Damaged            Code = "damaged"
	NotReady           Code = "not-ready"
	NoSpace            Code = "no-space"
)

// Entry is what the catalogue says of a code.
type Entry struct {
	Code        Code
	Status      int    // HTTP status
	Title       string // the same for every occurrence
	Hint        string // what to do, in one sentence
	Description string // what it means; one paragraph
}

// Catalogue lists every code there is, by status.
func Catalogue() []Entry {
	entries := make([]Entry, 0, len(requestEntries)+len(faultEntries)+len(serverEntries))
	entries = append(entries, requestEntries...)
	entries = append(entries, faultEntries...)
	return append(entries, serverEntries...)
}

// Lookup finds the entry of a code.
func Lookup(code Code) (Entry, bool) {
	for _, part := range [][]Entry{requestEntries, faultEntries, serverEntries} {
		for _, e := range part {
			if e.Code == code {
				return e, true
			}
		}
	}
	return Entry{}, false
}

// What is wrong with a request.
var requestEntries = []Entry{
	{BadRequest, http.StatusBadRequest, "The request is malformed",
		"Correct what the detail names and send it again.",
		"The request breaks a rule of HTTP or of this API that has no code of its own."},
	{BadParameter, http.StatusBadRequest, "A query parameter is wrong",
		"Correct the parameter that the detail names.",
		"A query parameter has a value that can't be read, appears more often than it may, or contradicts another."},
	{UnknownParameter, http.StatusBadRequest, "There is no such query parameter",
		"Use one of the parameters that are declared, or leave it out.",
		"Parameters that are not known are refused, so that a misspelled one is not silently without effect. The member declared lists those of the route."},
	{BadName, http.StatusBadRequest, "A name is not legal",
		"Names of functions and tags are 1 to 128 letters, digits, dots, underscores and hyphens, beginning with a letter or digit; a tag is not a number. Names of sets and items have no control characters.",
		"The name of a function, version, tag, set or item breaks the rules. Names of sets are 1 to 255 bytes and those of items at most 1,024 bytes of UTF-8 without control characters; a set's name besides has no slash."},
	{BadBody, http.StatusBadRequest, "The body can't be read",
		"Correct the place that the detail names; with set=, item= or key= in the query any body is taken as raw bytes.",
		"A JSON or multipart body does not say what it should. For JSON, errors names the path of the member that is wrong."},
	{UnknownSet, http.StatusBadRequest, "The function has no such input set",
		"Use one of the sets that are declared.",
		"An input set of the request is not in the function's signature. The member declared lists those that are."},
	{BadLimit, http.StatusBadRequest, "A limit can't be granted",
		"Ask for less, or have the operator raise the maximum.",
		"A limit asked for at registration is negative, above the maximum that the operator allows, or too small to run at all."},
	{ForeignHost, http.StatusForbidden, "The Host is not this server",
		"Call the server as localhost or by its loopback address, or have the operator allow the name (--host NAME).",
		"A server without keys answers only requests that name it by a loopback name or address, or by a name of the setting host, so that a web page can't reach it through a name of its own (DNS rebinding)."},
	{ForeignOrigin, http.StatusForbidden, "The request comes from a foreign web page",
		"Call from the command line or a program, or have the operator allow the origin (--origin ORIGIN).",
		"A browser sent the request for a web page whose origin is not in the setting origin, which is empty unless the operator says otherwise."},
	{NotFound, http.StatusNotFound, "There is nothing at this address",
		"Look at /openapi.yaml for the addresses that exist.",
		"No route has this path."},
	{UnknownFunction, http.StatusNotFound, "There is no such function",
		"Check the name, or register the function with PUT /v1/functions/NAME.",
		"No function of this name is registered; where functions and compositions may be named, nothing is."},
	{UnknownComposition, http.StatusNotFound, "There is no such composition",
		"Check the name, or register the composition with PUT /v1/compositions/NAME.",
		"No composition of this name is registered. The detail says if a function has the name."},
	{UnknownVersion, http.StatusNotFound, "The function has no such version",
		"List the versions with GET /v1/functions/NAME/versions.",
		"The function exists, but not the version that was named by number or digest. Numbers of deleted versions are never used again."},
	{UnknownTag, http.StatusNotFound, "The function has no such tag",
		"Look at the function's tags with GET /v1/functions/NAME.",
		"The function exists, but the tag is not set. A bare name means the tag latest."},
	{UnknownRun, http.StatusNotFound, "There is no record of such a run",
		"Look at the runs that there are with GET /v1/runs, or run it again with trace=1.",
		"No run has this id, or its record is gone: records are kept of runs that were called with trace=1, at most of the last 200, until the server ends."},
	{MethodNotAllowed, http.StatusMethodNotAllowed, "The method is not allowed here",
		"Use one of the methods in the Allow header.",
		"The address exists, but not with this method. A GET calls only what is pure: what applies I/O functions is called with POST."},
	{NotAcceptable, http.StatusNotAcceptable, "The answer can't be given in an accepted form",
		"Accept application/json, multipart/mixed or */*.",
		"The Accept header rules out every form that the answer could have. The raw form exists only where all output sets together hold exactly one item or none, and is wanted by */* or by its own content type."},
	{TooSlow, http.StatusRequestTimeout, "The body came too slowly",
		"Send the body faster, or in smaller requests.",
		"After a time of grace, a request's body must arrive at a least rate on average. It did not, and the connection was closed."},
	{ReservedName, http.StatusConflict, "The name is reserved",
		"Choose another name.",
		"The names of the platform's own I/O functions can't be registered: HTTP, BlobGet, BlobPut, BlobList, Pappus, and all that begin with system_."},
	{OtherKind, http.StatusConflict, "The name belongs to something of another kind",
		"Choose another name, or delete what has it.",
		"Functions and compositions share one namespace, and the name is taken by the other kind."},
	{InUse, http.StatusConflict, "It is in use",
		"Move or remove what refers to it first; where compositions do, force=true deletes it all the same.",
		"Something still refers to what was to be deleted: a tag to a version, or compositions, which the member users lists."},
	{SignatureBreaks, http.StatusConflict, "Compositions need the sets that it had",
		"Register it under another tag or name; or do it all the same with force=true, and register the compositions again.",
		"A tag would name a version with other input or output sets than compositions that apply it were checked against. The member users lists them, with the differences. Nothing was changed."},
	{BrokenComposition, http.StatusConflict, "The composition applies what is not there any more",
		"Register the composition again, or move the tags of what it applies back.",
		"What the composition applies was deleted, or has other sets than the composition was checked against: a change was forced."},
	{PreconditionFailed, http.StatusPreconditionFailed, "The answer is one that the client has",
		"Use the answer that has this ETag, or leave out If-None-Match.",
		"The request was to be answered only if the answer is none of those that If-None-Match names, and it is. A GET gets 304 instead."},
	{RequestTooLarge, http.StatusRequestEntityTooLarge, "The request is too large",
		"Send less, or have the operator raise the limit.",
		"The body has more bytes, or its sets more items, than the operator allows. The detail says the limit."},
	{ContentEncoding, http.StatusUnsupportedMediaType, "The body is encoded",
		"Send the body without Content-Encoding.",
		"Compressed bodies are not taken: the limits are on the bytes that a function sees."},
	{UnknownCode, http.StatusUnsupportedMediaType, "No engine runs code of this type",
		"Send a WebAssembly binary as application/wasm, a static program for AArch64 as application/x-elf, or either without a Content-Type.",
		"The code is neither of a type that an engine of this server runs, nor recognised by its first bytes; or it is not what its Content-Type says."},
	{RejectedModule, http.StatusUnprocessableEntity, "The code was rejected",
		"Follow the detail; a function imports nothing and has one memory.",
		"The code is of a type that an engine knows, but breaks a rule that keeps functions pure and bounded. If it imports what it may not, the member imports lists that."},
	{CompileTooCostly, http.StatusUnprocessableEntity, "Compiling the code takes too much",
		"Split very large functions, or compile them with less inlining.",
		"The code is valid, but compiling and initialising it takes more time or memory than is allowed."},
	{InvalidComposition, http.StatusUnprocessableEntity, "The composition is not valid",
		"Correct the places that errors lists.",
		"The source breaks a rule of the language, or applies what is not registered, or not with these sets, or would apply itself. The member errors lists every mistake with line, column and what to do, and warnings what else looks wrong."},
}

// How functions fail.
var faultEntries = []Entry{
	{Code(engine.FaultTrap), http.StatusUnprocessableEntity, "The function trapped",
		"Look at the function's own checks of its input, and at the stack, where one is shown.",
		"The code did something that WebAssembly forbids: an access outside its memory, a division by zero, unreachable code. The member stack has the function's own calls, innermost first."},
	{Code(engine.FaultExit), http.StatusUnprocessableEntity, "The function gave an exit code",
		"Look at the exit code; and at what the function wrote to stderr, which is kept if it has an output set stdio.",
		"The function ended by itself with an exit code other than 0."},
	{Code(engine.FaultOutOfMemory), http.StatusUnprocessableEntity, "The function ran out of memory",
		"Raise its memory limit, or give it smaller inputs.",
		"The inputs do not fit into the function's memory, or its allocator found no room within the limit."},
	{Code(engine.FaultOutOfFuel), http.StatusUnprocessableEntity, "The function ran out of fuel",
		"Raise its fuel limit, or give it less to do.",
		"The function used more than its fuel limit. The same call fails in the same way everywhere."},
	{Code(engine.FaultOutOfStack), http.StatusUnprocessableEntity, "The function ran out of stack",
		"Raise its stack limit, or make it recurse less deeply.",
		"The function's calls nest deeper than its stack limit allows."},
	{Code(engine.FaultBadOutput), http.StatusUnprocessableEntity, "The function's outputs can't be read",
		"Check how the function describes its outputs: pointers, lengths and names.",
		"What the function left is not a list of output sets: something lies outside its memory, overlaps, or has a name that is not legal."},
	{Code(engine.FaultOutputTooLarge), http.StatusUnprocessableEntity, "The function's outputs are too large",
		"Raise its output limit, or make it write less.",
		"The outputs have more bytes, names included, or more items than the function's limits allow."},
	{Code(engine.FaultDeadline), http.StatusGatewayTimeout, "The function ran too long",
		"Raise its timeout, or give it less to do.",
		"The function did not end within its timeout, which runs from its first instruction."},
	{Code(engine.FaultCanceled), http.StatusConflict, "The invocation was canceled",
		"Send it again if the result is still wanted.",
		"The caller went away or canceled it before the function ended."},
	{Code(engine.FaultLimitApplications), http.StatusUnprocessableEntity, "The composition has too many applications",
		"Split the composition, or have the operator raise the limit (--run-limits applications=N).",
		"The graph of the composition, with everything that it nests, has more applications than are allowed."},
	{Code(engine.FaultLimitInstances), http.StatusUnprocessableEntity, "An application has too many instances",
		"Let an instance have more items (anyEach, anyKeyed or all, instead of each), or have the operator raise the limit (--run-limits instances=N).",
		"Sharding the inputs of an application makes more instances than are allowed."},
	{Code(engine.FaultLimitItems), http.StatusUnprocessableEntity, "The run holds too many items",
		"Put more into each item, or have the operator raise the limit (--run-limits items=N).",
		"A set of a run has more items than are allowed."},
	{Code(engine.FaultLimitBytes), http.StatusUnprocessableEntity, "The run holds too many bytes",
		"Let the functions pass on less, or have the operator raise the limit (--run-limits bytes=SIZE).",
		"The outputs of a run that are not used up yet have more bytes than are allowed."},
	{Code(engine.FaultLimitNesting), http.StatusUnprocessableEntity, "Compositions nest too deeply",
		"Flatten the compositions, or end the recursion; the operator can raise the limit (--run-limits nesting=N).",
		"A composition calls compositions that call compositions, deeper than is allowed. Calls by name (system_Invoke) count like those that the composition itself applies."},
	{Code(engine.FaultLimitTime), http.StatusUnprocessableEntity, "The run took too long",
		"Split the run, or have the operator raise the limit (--run-limits time=DURATION).",
		"A run as a whole did not end within its time."},
	{Code(engine.FaultItemCount), http.StatusUnprocessableEntity, "A set does not hold exactly one item",
		"Give exactly one item to a set that is declared as an item.",
		"The signature declares an input or output as one item, and it has none or several."},
	{Code(engine.FaultEgressRefused), http.StatusUnprocessableEntity, "The address is not allowed",
		"Have the operator allow the address.",
		"An I/O function was asked to connect to an address that the operator's policy forbids."},
	{Code(engine.FaultIOFailed), http.StatusBadGateway, "An I/O function failed",
		"Check that the other side is up, and try again.",
		"An I/O function got no answer that it could pass on, or a request that it can't read."},
	{Code(engine.FaultIOTimeout), http.StatusGatewayTimeout, "An I/O function waited too long",
		"Try again later.",
		"The other side did not answer an I/O function in time."},
	{Code(engine.FaultNotCached), http.StatusGatewayTimeout, "The result is not remembered",
		"Leave out Cache-Control: only-if-cached to have it computed.",
		"The request asked for a remembered result only, and there is none."},
	{Code(engine.FaultOverload), http.StatusServiceUnavailable, "The server is busy",
		"Try again after the time in Retry-After.",
		"No worker, memory or place in a queue became free within the waiting limit. Nothing was run, unless usage says what a run of a composition used before that."},
}

// What is wrong with the server.
var serverEntries = []Entry{
	{Internal, http.StatusInternalServerError, "Something went wrong in the server",
		"Report it with the request id; the server's log has the cause under it.",
		"The request met an error of the platform, not of the function."},
	{Damaged, http.StatusInternalServerError, "Stored data is damaged",
		"Register the function again, and check the server's disk.",
		"What the server stored for this function no longer matches its digest."},
	{NotReady, http.StatusServiceUnavailable, "The server is not ready",
		"Wait, and ask again.",
		"The server is starting, stopping, or can't take work at the moment."},
	{NoSpace, http.StatusInsufficientStorage, "The server's disk takes no more",
		"Have the operator make room in the data directory, and send it again.",
		"The disk or quota of the server's data directory is full, or it can't be written. Nothing was stored, and what is stored is served."},
}
