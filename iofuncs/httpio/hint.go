package httpio

import (
	"crypto/tls"
	"errors"
	"strings"

	"pappus/iofuncs/egress"
)

// itemHint is what to do about an item that can't be read.
const itemHint = "Correct the item; docs/io.md says how a request is written."

// hint is what to do about a request that failed; "": what the kind of failure says.
// The standard library has types for few of these errors.
func hint(err error) string {
	var certificate *tls.CertificateVerificationError
	text := err.Error()
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case errors.Is(err, errLarge):
		return "Ask for less, or have the operator raise --http-limits body."
	case has("response headers exceeded"):
		return "Have the operator raise --http-limits header."
	case errors.Is(err, errTotal):
		return "Ask for less, or have the operator raise --http-limits total."
	case errors.Is(err, errIdle):
		return "Try again later, or have the operator raise --http-limits idle."
	case has(awaitingHeader):
		return "Try again later, or have the operator raise --http-limits response."
	case has(handshakeTimeout):
		return "Try again later, or have the operator raise --http-limits tls."
	case errors.As(err, &certificate):
		return "Have the operator name the authority that signed it with --ca-bundle, if it is one to trust."
	case has("HTTP response to HTTPS client"):
		return "The server speaks plain HTTP: write the URI with http://."
	case egress.ProxyWantsCredentials(err):
		return "Have the operator name a file with USER:PASSWORD for the proxy with --proxy-credentials."
	}
	return ""
}

// What the standard library says of what took too long.
const (
	awaitingHeader   = "timeout awaiting response headers"
	handshakeTimeout = "TLS handshake timeout"
)

// late says which limit was too short.
func (l Limits) late(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, awaitingHeader):
		return "the server sent no answer for " + l.Response.String() + " (http-limits response)"
	case strings.Contains(text, handshakeTimeout):
		return "the TLS handshake took longer than " + l.TLS.String() + " (http-limits tls)"
	default:
		return plain(err) + " (http-limits connect: " + l.Connect.String() + ")"
	}
}
