// Package server is the way in over HTTP: it registers functions and
// compositions, invokes them, and says what there is.
//
// It owns the routes and their description (openapi.yaml), how sets are read
// from requests and written into answers, what is refused before anything
// runs (foreign origins, slow clients, large bodies), request ids, and how
// errors become problem documents. It is the only package that knows echo. It
// knows the dispatcher and the registry by small interfaces, and no engine.
//
// The way of a request: Server.ServeHTTP takes an exchange from a pool, notes
// the policy that is in force, which Server.Reload replaces, has its guard look
// at Host and Origin, and lets echo's router find the
// route; the route's handler answers or returns an error, which fail turns
// into a problem. There is no chain of middleware.
package server
