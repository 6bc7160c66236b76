package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Rule names hosts: a name, all names below one, or addresses; and a port, or all
// of them.
type Rule struct {
	name     string       // in lower case; "": addresses
	below    bool         // the names below it, and not itself; with no name: all of them
	prefix   netip.Prefix // of addresses
	port     uint16       // 0: any
	everyone bool         // "*"
	written  string       // in a setting; "": as String has it
}

const maxHost = 253

// ParseRule reads a rule: a name (example.org), a pattern (*.example.org), an
// address (10.0.0.1, ::1), a network (10.0.0.0/8), or * for all there is; and then,
// if it is about one port only, a colon and the port. Of addresses of IPv6 with a
// port brackets are around: [::1]:8080, [fd00::/8]:443.
func ParseRule(text string) (Rule, error) {
	var r Rule
	if strings.Contains(text, "://") { // which may have a password
		return r, errors.New("a rule is HOST or HOST:PORT, without http:// and a path")
	}
	if strings.Contains(text, " ") {
		return r, fmt.Errorf("%.80q has a space in it; between rules there is a comma alone", text)
	}
	host, port, err := splitPort(text)
	if err != nil {
		return r, err
	}
	r.port = port
	switch {
	case host == "*":
		r.everyone = true
		return r, nil
	case strings.ContainsAny(host, "/:"), ipv4Like(host):
		r.prefix, err = parseAddresses(host)
		return r, err
	}
	r.name, r.below = strings.CutPrefix(host, "*.")
	if r.name, err = CheckHost(r.name); err != nil {
		return r, err
	}
	return r, nil
}

func parseAddresses(text string) (netip.Prefix, error) {
	var p netip.Prefix
	if strings.Contains(text, "/") {
		var err error
		if p, err = netip.ParsePrefix(text); err != nil {
			return p, fmt.Errorf("%.80q is not a network like 10.0.0.0/8 or fd00::/8", text)
		}
	} else {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("%.80q is not an address like 10.0.0.1 or ::1 (a port of an IPv6 address: [::1]:8080)", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("%.80q holds IPv4 addresses in the form of IPv6; write them as IPv4", text)
	}
	if whole := p.Masked(); whole != p {
		return p, fmt.Errorf("%.80q is an address in a network; the network is %s", text, whole)
	}
	return p, nil
}

// splitPort takes a port off a host, and brackets.
func splitPort(text string) (host string, port uint16, err error) {
	var rest string
	switch {
	case text == "":
		return "", 0, errors.New("it is empty")
	case text[0] == '[':
		end := strings.IndexByte(text, ']')
		if end < 0 || !strings.Contains(text[:end], ":") {
			return "", 0, fmt.Errorf("%.80q: brackets belong around an IPv6 address or network", text)
		}
		host, rest = text[1:end], text[end+1:]
		if rest != "" && rest[0] != ':' {
			return "", 0, fmt.Errorf("%.80q: what is behind the bracket is no port", text)
		}
	default:
		if ambiguous(text) {
			return "", 0, fmt.Errorf("%.80q is an IPv6 address, with or without a port: write [ADDRESS]:PORT or [ADDRESS]", text)
		}
		// Colons before a slash, or several, are an IPv6 address's.
		slash := strings.IndexByte(text, '/') + 1
		colon := strings.LastIndexByte(text[slash:], ':')
		if colon < 0 || slash == 0 && strings.Count(text, ":") > 1 {
			return text, 0, nil
		}
		host, rest = text[:slash+colon], text[slash+colon:]
	}
	if rest == "" {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(rest[1:], 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != rest[1:] {
		return "", 0, fmt.Errorf("%.20q is not a port: a number from 1 to 65535", rest[1:])
	}
	return host, uint16(n), nil
}

// As is a rule whose refusals say that it is written like this.
func (r Rule) As(written string) Rule {
	r.written = written
	return r
}

// denies is the rule as a refusal names it.
func (r Rule) denies() string {
	if r.written == "" {
		r.written = r.String()
	}
	return "egress-deny " + r.written
}

// ambiguous reports whether an IPv6 address looks as if it had a port.
func ambiguous(text string) bool {
	last := strings.LastIndexByte(text, ':')
	if last < 0 || strings.Trim(text[last+1:], "0123456789") != "" {
		return false
	}
	a, err := netip.ParseAddr(text[:last])
	_, also := netip.ParseAddr(text)
	return err == nil && a.Is6() && also == nil
}

// String is the rule as ParseRule reads it, in one of its spellings.
func (r Rule) String() string {
	text := r.name
	switch {
	case r.everyone:
		text = "*"
	case r.below:
		text = "*." + r.name
	case r.name == "" && r.prefix.IsSingleIP():
		text = r.prefix.Addr().String()
	case r.name == "":
		text = r.prefix.String()
	}
	if strings.Contains(text, ":") && r.port != 0 || ambiguous(text) {
		text = "[" + text + "]"
	}
	if r.port == 0 {
		return text
	}
	return text + ":" + strconv.Itoa(int(r.port))
}

// matchesPort, matchesName and matchesAddress are what a rule says of a part of
// a target.
func (r Rule) matchesPort(port uint16) bool { return r.port == 0 || r.port == port }

func (r Rule) matchesName(host string) bool {
	switch {
	case r.name == "":
		return false
	case r.below:
		return strings.HasSuffix(host, "."+r.name)
	}
	return host == r.name
}

func (r Rule) matchesAddress(a netip.Addr) bool {
	return r.name == "" && !r.everyone && r.prefix.Contains(a)
}

// CheckHost accepts the name of a host in ASCII, as it stands in a URI, and
// returns it as names are compared: in lower case, without a dot at its end. What
// other programs might take for an address of IPv4 is no name.
func CheckHost(text string) (string, error) {
	host := strings.TrimSuffix(text, ".")
	if host == "" || len(host) > maxHost {
		return "", fmt.Errorf("%.80q is not a name of a host: it has 1 to %d characters", text, maxHost)
	}
	if ipv4Like(host) {
		return "", fmt.Errorf("%.80q ends like an address, and is none of the form 192.0.2.1", text)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !legalLabel(label) {
			return "", fmt.Errorf("%.80q is not a name like example.org; international ones are written in their xn-- form", text)
		}
	}
	return strings.ToLower(host), nil
}

func legalLabel(label string) bool {
	const most = 63
	if label == "" || len(label) > most || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ipv4Like reports whether the last label is a number, decimal or not.
func ipv4Like(host string) bool {
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = rest, "0123456789abcdef"
		if last == "" {
			return true
		}
	}
	return last != "" && strings.Trim(last, digits) == ""
}
