package egress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Policy says where one tenant's calls may connect to. Nobody changes it once it
// is made. A nil one has no rules.
type Policy struct {
	allow, deny []Rule
	closed      []Rule // of "*": what nobody allows is refused
}

// NewPolicy makes a policy. A connection is refused if a rule of deny matches its
// host, else allowed if one of allow does, else refused if deny has a "*", else
// refused if its address is special, and else allowed.
//
// Special addresses are those of loopback, private networks and the like. A rule
// of allow reaches them by their addresses; loopback and private ones also by a name
// without a wildcard. Services that hand out credentials of the machine are reached
// by a rule for this address alone. A "*" in allow is an error: it would allow
// nothing that isn't allowed already.
func NewPolicy(allow, deny []Rule) (*Policy, error) {
	p := &Policy{allow: slices.Clone(allow)}
	for _, r := range allow {
		if r.everyone {
			return nil, fmt.Errorf("%q allows nothing: public addresses are allowed anyway, and others have to be named, as 10.0.0.0/8", r)
		}
	}
	for _, r := range deny {
		if r.everyone {
			p.closed = append(p.closed, r)
		} else {
			p.deny = append(p.deny, r)
		}
	}
	return p, nil
}

// String is what the policy says, in one of its spellings: policies with the same
// text allow the same. A nil one is the empty text.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	var parts []string
	for _, r := range p.allow {
		parts = append(parts, "allow "+r.String())
	}
	for _, r := range slices.Concat(p.deny, p.closed) {
		parts = append(parts, "deny "+r.String())
	}
	slices.Sort(parts) // the order of rules means nothing
	return strings.Join(slices.Compact(parts), ", ")
}

// Refusal is the error of a connection that the policy forbids. It does not tell
// the address that a name has: that may be a secret of the network.
type Refusal struct {
	Host string // a name, or an address
	Port uint16
	Rule string // that forbids it, as "egress-deny *.example.org" or "loopback 127.0.0.0/8"

	class *class
}

// Kind is the kind of the rule, of which there are few: "egress-deny", or the name
// of a class of addresses, like "loopback".
func (r *Refusal) Kind() string {
	if r.class != nil {
		return r.class.name
	}
	return "egress-deny"
}

func (r *Refusal) Error() string {
	host := r.Host
	a, err := netip.ParseAddr(host)
	if err == nil {
		host = forms(a)[0].String() // as a rule has it
	}
	target := net.JoinHostPort(host, strconv.Itoa(int(r.Port)))
	text := fmt.Sprintf("connecting to %s is refused by the rule %q", target, r.Rule)
	if r.class == nil {
		return text
	}
	switch {
	case err == nil, r.class.opened == byName:
		return text + fmt.Sprintf("; who runs the server can allow it: egress-allow %s", target)
	default:
		return text + "; who runs the server can allow the address that the name has"
	}
}

// checkName judges a host before anybody is asked for its address, as far as that
// is possible. host is as CheckHost returns it, or an address.
func (p *Policy) checkName(host string, port uint16) error {
	if p == nil {
		return nil
	}
	refused := func(r Rule) error { return &Refusal{Host: host, Port: port, Rule: r.denies()} }
	for _, r := range p.deny {
		if r.matchesPort(port) && r.matchesName(host) {
			return refused(r)
		}
	}
	// Looking a name up tells it to others: not if no address could be allowed.
	for _, r := range p.closed {
		if r.matchesPort(port) && !slices.ContainsFunc(p.allow, func(a Rule) bool {
			return a.matchesPort(port) && (a.name == "" || a.matchesName(host))
		}) {
			return refused(r)
		}
	}
	return nil
}

// check judges a connection to an address that was reached by a host: a name, or
// the address itself. The error is a *Refusal.
func (p *Policy) check(host string, a netip.AddrPort) error {
	if p == nil {
		p = &Policy{}
	}
	refusal := &Refusal{Host: host, Port: a.Port()}
	all := forms(a.Addr())
	for _, r := range p.deny {
		if r.matchesPort(a.Port()) && (r.matchesName(host) || slices.ContainsFunc(all, r.matchesAddress)) {
			refusal.Rule = r.denies()
			return refusal
		}
	}
	special := classOf(a.Addr())
	for _, r := range p.allow {
		if r.matchesPort(a.Port()) && r.allows(host, all[0], special) {
			return nil
		}
	}
	for _, r := range p.closed {
		if r.matchesPort(a.Port()) {
			refusal.Rule = r.denies()
			return refusal
		}
	}
	if special != nil {
		refusal.Rule, refusal.class = special.name+" "+special.prefix.String(), special
		return refusal
	}
	return nil
}

// allows reports whether a rule is enough for an address of a class, which may be
// nil.
func (r Rule) allows(host string, a netip.Addr, special *class) bool {
	switch {
	case special != nil && special.opened == byItself:
		return r.matchesAddress(a) && r.prefix.IsSingleIP()
	case r.matchesAddress(a):
		return true
	case special == nil:
		return r.matchesName(host)
	}
	return special.opened == byName && !r.below && r.matchesName(host)
}
