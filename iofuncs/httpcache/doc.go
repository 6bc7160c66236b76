// Package httpcache is a private HTTP cache after RFC 9111, as an
// http.RoundTripper over another one.
//
// It owns what may be kept of an answer, for whom and how long, and where it lies:
// in memory, bounded by bytes, and behind that in a folder on disk. A Store holds
// the answers; New gives a tenant's way through it. It knows nothing of who asks,
// which addresses are allowed, or how an origin is reached: that is the round
// tripper's below.
//
// The cache is private to a tenant: what one has fetched, no other is given, and
// requests of one tenant with different credentials (Authorization, Cookie) share
// nothing either.
//
// An answer that is kept reaches no address. So rules about URLs belong above the
// cache, and rules about addresses, which are judged when something is dialled, below
// it; redirects are followed above it, so that each hop is an answer of its own.
package httpcache
