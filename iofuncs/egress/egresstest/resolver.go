package egresstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
)

// Resolver looks names up in a function: a name without a dot at its end has the
// addresses that lookup returns at that moment, and does not exist if there are none.
// It asks by a real resolver, of a server that answers over a pipe.
func Resolver(lookup func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go serve(server, lookup)
			return client, nil
		},
	}
}

// serve answers questions in the form that DNS has over a stream.
func serve(conn net.Conn, lookup func(string) []netip.Addr) {
	defer func() { _ = conn.Close() }() // who asked has gone
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := respond(query, lookup)
		if answer == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// respond answers a message with one question; nil if it has none.
func respond(query []byte, lookup func(string) []netip.Addr) []byte {
	const header = 12
	var labels []string
	at := header
	for {
		if at >= len(query) {
			return nil
		}
		n := int(query[at])
		at++
		if n == 0 {
			break
		}
		if at+n > len(query) {
			return nil
		}
		labels = append(labels, string(query[at:at+n]))
		at += n
	}
	if at+4 > len(query) {
		return nil
	}
	const typeA, typeAAAA, noSuchName = 1, 28, 3
	kind := binary.BigEndian.Uint16(query[at:])
	all := lookup(strings.Join(labels, "."))
	answer := append([]byte{}, query[:at+4]...)
	answer[2], answer[3] = 0x81, 0x80 // a response, recursion desired and available
	if len(all) == 0 {
		answer[3] |= noSuchName
	}
	count := uint16(0)
	for _, a := range all {
		if a.Is4() && kind == typeA || a.Is6() && kind == typeAAAA {
			count++
			answer = append(answer, 0xC0, header, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
			answer = append(answer, a.AsSlice()...)
		}
	}
	binary.BigEndian.PutUint16(answer[6:], count)
	binary.BigEndian.PutUint32(answer[8:], 0) // no other sections
	return answer
}
