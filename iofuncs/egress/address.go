package egress

import "net/netip"

// A class is a kind of addresses that nobody may reach by default.
type class struct {
	name   string
	opened opening // what a rule has to be like to allow it
	prefix netip.Prefix
}

type opening int

const (
	byName    opening = iota // a name without a wildcard, or addresses
	byAddress                // addresses: no name is meant to lead there
	byItself                 // this very address
)

// classes are looked through in order: the first that has an address is its class.
// They follow the IANA registries of special-purpose addresses.
var classes = []class{
	// Services that hand credentials of the machine to whoever asks from it.
	{"metadata", byItself, netip.MustParsePrefix("169.254.169.254/32")},
	{"metadata", byItself, netip.MustParsePrefix("169.254.170.2/32")},
	{"metadata", byItself, netip.MustParsePrefix("169.254.170.23/32")},
	{"metadata", byItself, netip.MustParsePrefix("169.254.42.42/32")},
	{"metadata", byItself, netip.MustParsePrefix("100.100.100.200/32")},
	{"metadata", byItself, netip.MustParsePrefix("192.0.0.192/32")},
	{"metadata", byItself, netip.MustParsePrefix("168.63.129.16/32")},
	{"metadata", byItself, netip.MustParsePrefix("fd00:ec2::254/128")},
	{"metadata", byItself, netip.MustParsePrefix("fd00:ec2::23/128")},
	{"metadata", byItself, netip.MustParsePrefix("fd20:ce::254/128")},
	{"metadata", byItself, netip.MustParsePrefix("fd00:42::42/128")},

	{"loopback", byName, netip.MustParsePrefix("127.0.0.0/8")},
	{"loopback", byName, netip.MustParsePrefix("::1/128")},
	{"private", byName, netip.MustParsePrefix("10.0.0.0/8")},
	{"private", byName, netip.MustParsePrefix("172.16.0.0/12")},
	{"private", byName, netip.MustParsePrefix("192.168.0.0/16")},
	{"private", byName, netip.MustParsePrefix("fc00::/7")},
	{"private", byName, netip.MustParsePrefix("fec0::/10")},
	{"shared", byName, netip.MustParsePrefix("100.64.0.0/10")}, // behind a provider's NAT
	{"link-local", byAddress, netip.MustParsePrefix("169.254.0.0/16")},
	{"link-local", byAddress, netip.MustParsePrefix("fe80::/10")},
	{"multicast", byAddress, netip.MustParsePrefix("224.0.0.0/4")},
	{"multicast", byAddress, netip.MustParsePrefix("ff00::/8")},
	{"unspecified", byAddress, netip.MustParsePrefix("0.0.0.0/8")}, // systems take them for their own
	{"unspecified", byAddress, netip.MustParsePrefix("::/128")},
	{"documentation", byAddress, netip.MustParsePrefix("192.0.2.0/24")},
	{"documentation", byAddress, netip.MustParsePrefix("198.51.100.0/24")},
	{"documentation", byAddress, netip.MustParsePrefix("203.0.113.0/24")},
	{"documentation", byAddress, netip.MustParsePrefix("2001:db8::/32")},
	{"documentation", byAddress, netip.MustParsePrefix("3fff::/20")},
	{"reserved", byAddress, netip.MustParsePrefix("192.0.0.0/24")},
	{"reserved", byAddress, netip.MustParsePrefix("192.88.99.0/24")},
	{"reserved", byAddress, netip.MustParsePrefix("198.18.0.0/15")},
	{"reserved", byAddress, netip.MustParsePrefix("240.0.0.0/4")},
	{"reserved", byAddress, netip.MustParsePrefix("2001::/23")},

	// Of IPv6 only 2000::/3 is given out.
	{"reserved", byAddress, netip.MustParsePrefix("::/3")},
	{"reserved", byAddress, netip.MustParsePrefix("4000::/2")},
	{"reserved", byAddress, netip.MustParsePrefix("8000::/1")},
}

// carriers are networks of IPv6 whose addresses have one of IPv4 within, to which
// packets are passed on.
var carriers = []struct {
	prefix netip.Prefix
	at     int // its first byte
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // SIIT
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
}

// forms are an address, and the one of IPv4 that it carries, if it does.
func forms(a netip.Addr) []netip.Addr {
	a = a.Unmap().WithZone("")
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			b := a.As16()
			return []netip.Addr{a, netip.AddrFrom4([4]byte(b[c.at:]))}
		}
	}
	return []netip.Addr{a}
}

// classOf is the class of an address that nobody may reach by default, and nil if
// anybody may. It is that of the address of IPv4 where one is carried.
func classOf(a netip.Addr) *class {
	all := forms(a)
	last := all[len(all)-1]
	for i := range classes {
		if classes[i].prefix.Contains(last) {
			return &classes[i]
		}
	}
	return nil
}
