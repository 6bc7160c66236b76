// Package contract holds a server to its API description in tests: every
// request that was accepted and every answer must be as the description says,
// and what the description has must have been seen.
//
// It owns the checking of one request and its answer (Contract), which
// kin-openapi does for parameters, headers and schemas, the decoding of bodies,
// and a Tap, a proxy that checks all that passes between programs. It gets the
// description's bytes and knows nothing else of the project.
//
// Bodies are decoded here by what their type says: kin-openapi's own table of
// decoders is global and holds no multipart/mixed.
package contract
