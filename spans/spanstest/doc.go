// Package spanstest is a receiver of traces for tests: OTLP over HTTP, as JSON.
//
// It owns how strictly that form is read: what is not in it is an error.
package spanstest
