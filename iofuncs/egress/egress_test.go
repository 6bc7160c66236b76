package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/iofuncs/egress/egresstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rules(t interface{ Fatal(...any) }, list ...string) []Rule {
	all := make([]Rule, len(list))
	for i, text := range list {
		var err error
		if all[i], err = ParseRule(text); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func policy(t interface{ Fatal(...any) }, allow, deny []string) *Policy {
	p, err := NewPolicy(rules(t, allow...), rules(t, deny...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each class of addresses is refused by its name unless a rule says otherwise.
func TestSpecialAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "fc00::1": "private", "fdff::1": "private", "fec0::1": "private",
		"100.64.0.1": "shared", "100.127.255.255": "shared",
		"169.254.1.1": "link-local", "fe80::1": "link-local", "febf::1": "link-local",
		"169.254.169.254": "metadata", "fd00:ec2::254": "metadata", "100.100.100.200": "metadata", "192.0.0.192": "metadata", "168.63.129.16": "metadata",
		"224.0.0.1": "multicast", "239.255.255.255": "multicast", "ff02::1": "multicast",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation", "2001:db8::1": "documentation", "3fff::1": "documentation",
		"192.0.0.1": "reserved", "192.88.99.1": "reserved", "198.18.0.1": "reserved", "198.19.255.255": "reserved", "240.0.0.1": "reserved", "255.255.255.255": "reserved",
		"100::1": "reserved", "2001::1": "reserved", "2001:1ff::1": "reserved", "4000::1": "reserved", "1::1": "reserved", "::2": "reserved", "::8.8.8.8": "reserved", "64:ff9b:1::8.8.8.8": "reserved",

		"::ffff:127.0.0.1": "loopback", "::ffff:10.0.0.1": "private", "::ffff:169.254.169.254": "metadata", "::ffff:0.0.0.0": "unspecified",
		"64:ff9b::127.0.0.1": "loopback", "64:ff9b::192.168.0.1": "private", "64:ff9b::169.254.169.254": "metadata",
		"2002:7f00:1::1": "loopback", "2002:a00:1::": "private", "2002:a9fe:a9fe::1": "metadata", "2002:c0a8:1:2:3:4:5:6": "private",
		"::ffff:0:127.0.0.1": "loopback", "::ffff:0:100.64.0.1": "shared",

		"1.1.1.1": "", "8.8.8.8": "", "9.255.255.255": "", "11.0.0.0": "", "100.63.255.255": "", "100.128.0.0": "", "126.255.255.255": "", "128.0.0.0": "", "169.253.255.255": "", "169.255.0.0": "",
		"172.15.255.255": "", "172.32.0.0": "", "192.167.255.255": "", "192.169.0.0": "", "223.255.255.255": "", "2606:4700::1": "", "2001:200::1": "", "2000::1": "",
		"::ffff:8.8.8.8": "", "64:ff9b::8.8.8.8": "", "2002:808:808::1": "", "::ffff:0:8.8.8.8": "",
	} {
		a := netip.MustParseAddr(address)
		err := (*Policy)(nil).check(address, netip.AddrPortFrom(a, 80))
		var refusal *Refusal
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", address, err)
		case want != "" && (!errors.As(err, &refusal) || !strings.HasPrefix(refusal.Rule, want+" ")):
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

func TestPolicies(t *testing.T) {
	type target struct {
		host, address string
		port          uint16
		want          string // a part of the rule that refuses; "": allowed
	}
	for name, c := range map[string]struct {
		allow, deny []string
		targets     []target
	}{
		"nothing": {nil, nil, []target{{"a.example", "8.8.8.8", 80, ""}, {"a.example", "10.0.0.1", 80, "private"}}},
		"an address": {[]string{"127.0.0.1:8080"}, nil, []target{
			{"127.0.0.1", "127.0.0.1", 8080, ""}, {"localhost", "127.0.0.1", 8080, ""}, {"127.0.0.1", "127.0.0.1", 8081, "loopback"}, {"127.0.0.2", "127.0.0.2", 8080, "loopback"},
			{"x", "64:ff9b::127.0.0.1", 8080, "loopback"}, {"x", "::ffff:127.0.0.1", 8080, ""},
		}},
		"a network": {[]string{"10.0.0.0/8", "fd00::/8"}, nil, []target{{"a", "10.9.9.9", 1, ""}, {"a", "fd00::1", 1, ""}, {"a", "fd00:ec2::254", 1, "metadata"}, {"a", "192.168.0.1", 1, "private"}}},
		"a name": {[]string{"logs.internal:80"}, nil, []target{
			{"logs.internal", "10.0.0.1", 80, ""}, {"logs.internal", "127.0.0.1", 80, ""}, {"logs.internal", "10.0.0.1", 81, "private"}, {"other.internal", "10.0.0.1", 80, "private"},
			{"logs.internal", "169.254.1.1", 80, "link-local"}, {"logs.internal", "169.254.169.254", 80, "metadata"}, {"logs.internal", "0.0.0.0", 80, "unspecified"}, {"x.logs.internal", "10.0.0.1", 80, "private"},
		}},
		"a pattern opens nothing special": {[]string{"*.example.org"}, nil, []target{{"a.example.org", "127.0.0.1", 80, "loopback"}, {"a.example.org", "8.8.8.8", 80, ""}}},
		"metadata by itself only": {[]string{"169.254.0.0/16", "168.63.129.16"}, nil, []target{
			{"a", "169.254.1.1", 80, ""}, {"a", "169.254.169.254", 80, "metadata"}, {"a", "168.63.129.16", 80, ""},
		}},
		"denied": {[]string{"10.0.0.0/8", "bad.example.org"}, []string{"10.0.0.5", "*.example.org:443", "evil.example"}, []target{
			{"a", "10.0.0.4", 80, ""}, {"a", "10.0.0.5", 80, "egress-deny 10.0.0.5"}, {"a", "64:ff9b::10.0.0.5", 80, "egress-deny 10.0.0.5"}, {"a", "2002:a00:5::", 80, "egress-deny 10.0.0.5"},
			{"bad.example.org", "8.8.8.8", 443, "egress-deny *.example.org:443"}, {"bad.example.org", "8.8.8.8", 80, ""}, {"example.org", "8.8.8.8", 443, ""},
			{"evil.example", "8.8.8.8", 1, "egress-deny evil.example"}, {"notevil.example", "8.8.8.8", 1, ""},
		}},
		"closed": {[]string{"*.example.org:443", "1.0.0.0/8", "127.0.0.1"}, []string{"*", "1.1.1.1"}, []target{
			{"a.example.org", "8.8.8.8", 443, ""}, {"a.example.org", "8.8.8.8", 80, "egress-deny *"}, {"b", "8.8.8.8", 443, "egress-deny *"},
			{"b", "1.2.3.4", 80, ""}, {"b", "1.1.1.1", 80, "egress-deny 1.1.1.1"}, {"b", "127.0.0.1", 80, ""}, {"a.example.org", "127.0.0.2", 443, "egress-deny *"},
		}},
		"a closed port": {[]string{"mail.example:25"}, []string{"*:25"}, []target{{"mail.example", "8.8.8.8", 25, ""}, {"a", "8.8.8.8", 25, "egress-deny *:25"}, {"a", "8.8.8.8", 80, ""}}},
	} {
		p := policy(t, c.allow, c.deny)
		for _, to := range c.targets {
			err := p.check(to.host, netip.AddrPortFrom(netip.MustParseAddr(to.address), to.port))
			var refusal *Refusal
			if to.want == "" && err != nil || to.want != "" && (!errors.As(err, &refusal) || !strings.HasPrefix(refusal.Rule, to.want)) {
				t.Errorf("%s: %s (%s) port %d: %v, want %q", name, to.host, to.address, to.port, err, to.want)
			}
		}
	}
	if _, err := NewPolicy(rules(t, "*"), nil); err == nil || !strings.Contains(err.Error(), "allows nothing") {
		t.Errorf("allow *: %v", err)
	}
}

// What can't be allowed is refused before anybody is asked for its address.
func TestNamesThatAreNotLookedUp(t *testing.T) {
	for _, c := range []struct {
		allow, deny []string
		host        string
		asked       bool
	}{
		{nil, []string{"a.example"}, "a.example", false},
		{nil, []string{"a.example:81"}, "a.example", true},
		{[]string{"b.example"}, []string{"*"}, "a.example", false},
		{[]string{"b.example"}, []string{"*"}, "b.example", true},
		{[]string{"10.0.0.0/8"}, []string{"*"}, "a.example", true},
		{[]string{"10.0.0.0/8:81"}, []string{"*"}, "a.example", false},
	} {
		var asked atomic.Bool
		d := NewDialer(policy(t, c.allow, c.deny), time.Minute, egresstest.Resolver(func(string) []netip.Addr {
			asked.Store(true)
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		}))
		_, err := d.DialContext(t.Context(), "tcp", c.host+":80")
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) || asked.Load() != c.asked {
			t.Errorf("%+v: asked: %t, %v", c, asked.Load(), err)
		}
	}
}

func listen(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// The address that is judged is that which is dialled, however often a name
// changes what it means.
func TestRebinding(t *testing.T) {
	port := listen(t)
	var asked atomic.Int64
	resolver := egresstest.Resolver(func(name string) []netip.Addr {
		switch {
		case name == "mixed.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}
		case asked.Add(1) > 2: // a family each
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	})
	closed := NewDialer(nil, time.Minute, resolver)
	for range 3 {
		_, err := closed.DialContext(t.Context(), "tcp", "rebind.example:"+port)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Rule != "loopback 127.0.0.0/8" || refusal.Host != "rebind.example" || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%v", err)
		}
	}
	open := NewDialer(policy(t, []string{"127.0.0.1:" + port}, nil), time.Minute, resolver)
	for _, host := range []string{"rebind.example", "mixed.example", "MIXED.example.", "127.0.0.1"} {
		conn, err := open.DialContext(t.Context(), "tcp", host+":"+port)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
}

func TestDialer(t *testing.T) {
	d := NewDialer(nil, time.Minute, egresstest.Resolver(func(string) []netip.Addr { return nil }))
	for address, want := range map[string]string{
		"nobody.example:80": "no such host", "a b:80": "not a name", "a:0": "the port", "a:http": "the port", "a": "missing port", "127.1:80": "ends like an address",
		"0x7f.1:80": "ends like an address", "2130706433:80": "ends like an address", ":80": "not a name", "[::1]:80": "loopback", "[fe80::1%1]:80": "link-local", "0.0.0.0:80": "unspecified", "[::ffff:127.0.0.1]:80": "loopback",
	} {
		if _, err := d.DialContext(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if _, err := d.DialContext(t.Context(), "unix", "/a"); err == nil {
		t.Error("it dials sockets of the machine")
	}
	asked := make(chan struct{})
	waits := NewDialer(nil, time.Minute, egresstest.Resolver(func(string) []netip.Addr {
		<-asked
		return nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := waits.DialContext(ctx, "tcp", "a.example:80"); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v", err)
	}
	close(asked)
}

// What a refusal says would allow an address does, and one of a setting is named as
// it is written there.
func TestRefusals(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::1", "fd00:ec2::254", "169.254.169.254", "::ffff:0:100.64.0.1", "100::1:80"} {
		to := netip.MustParseAddrPort(net.JoinHostPort(address, "28701"))
		_, hint, ok := strings.Cut(policy(t, nil, nil).check(address, to).Error(), "egress-allow ")
		if err := policy(t, []string{hint}, nil).check(address, to); !ok || err != nil {
			t.Errorf("%s: %q: %v", address, hint, err)
		}
	}
	everybody := rules(t, "198.51.100.0/24", "example.org", "*:25")
	for i, written := range []string{"*@198.51.100.0/24", "*@Example.org", "*@*:25"} {
		everybody[i] = everybody[i].As(written)
	}
	p, err := NewPolicy(nil, everybody)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, to string
		rule     int
	}{{"x.example", "198.51.100.1:80", 0}, {"example.org", "1.1.1.1:80", 1}, {"x.example", "1.1.1.1:25", 2}} {
		if err := p.check(c.host, netip.MustParseAddrPort(c.to)); err == nil || !strings.Contains(err.Error(), `"egress-deny `+everybody[c.rule].written+`"`) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if p.String() != "deny *:25, deny 198.51.100.0/24, deny example.org" {
		t.Errorf("%s: what policies allow is not told by how they are written", p)
	}
}

func TestParseRule(t *testing.T) {
	for text, want := range map[string]string{
		"example.org": "", "Example.ORG.": "example.org", "*.example.org:443": "", "localhost:8080": "", "10.0.0.1": "", "10.0.0.1:80": "", "10.0.0.0/8": "", "10.0.0.0/8:80": "", "10.0.0.1/32": "10.0.0.1",
		"::1": "", "[::1]": "::1", "[::1]:8080": "", "fd00::/8": "", "[fd00::/8]:443": "", "fd00::/8:443": "[fd00::/8]:443", "[::1:80]": "[::1:80]", "[::1:80]:443": "", "*": "", "*:25": "", "a_b.example": "", "xn--bcher-kva.example": "", "0.0.0.0/0": "", "::/0": "",
	} {
		r, err := ParseRule(text)
		if want == "" {
			want = text
		}
		if err != nil || r.String() != want {
			t.Errorf("%s: %q, %v", text, r, err)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "example.org:0": "not a port", "example.org:65536": "not a port", "example.org:": "not a port", "example.org:080": "not a port", "example.org:+80": "not a port", "example.org:http": "not a port",
		"*.": "not a name", "*.*.org": "not a name", "a.*.org": "not a name", "*example.org": "not a name", "-a.org": "not a name", "a..b": "not a name", "a b": "space", "bücher.example": "xn--", "https://a.example": "without http://", "http://u:p@a/": "without http://",
		"::1:80": "[ADDRESS]:PORT", "2001:db8::1:443": "[ADDRESS]:PORT", " b": "a comma alone",
		"10.0.0.1/8": "the network is 10.0.0.0/8", "10.0.0.0/33": "not a network", "10.1/16": "not a network", "127.1": "not an address", "0x7f.0.0.1": "not an address", "010.0.0.1": "not an address", "1.2.3": "not an address",
		"fe80::1%eth0": "not an address", "::ffff:10.0.0.1": "IPv4", "::ffff:10.0.0.0/104": "IPv4", "[::1": "brackets", "[a]:80": "brackets", "[::1]80": "no port", "[::1]:": "not a port", "::1:808080": "not an address",
		strings.Repeat("a.", 130) + "a": "1 to 253", strings.Repeat("a", 64): "not a name",
	} {
		if r, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", text, r, err, want)
		}
	}
}

func anyAddr(t *rapid.T) netip.Addr {
	v4 := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4")))
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return v4
	case 1:
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6")))
	case 2:
		return rapid.SampledFrom(carried(v4)).Draw(t, "form")
	}
	// The edges of classes.
	p := rapid.SampledFrom(classes).Draw(t, "class").prefix
	first := p.Addr()
	if rapid.Bool().Draw(t, "before") && first.Prev().IsValid() {
		return first.Prev()
	}
	return first
}

// carried are the forms in which IPv6 carries an address of IPv4.
func carried(v4 netip.Addr) []netip.Addr {
	b := v4.As4()
	at := func(prefix string, i int) netip.Addr {
		all := netip.MustParseAddr(prefix).As16()
		copy(all[i:], b[:])
		return netip.AddrFrom16(all)
	}
	return []netip.Addr{at("::ffff:0:0", 12), at("64:ff9b::", 12), at("2002::1", 2), at("::ffff:0:0:0", 12), at("64:ff9b:1::", 12), at("::", 12)}
}

// judgedLikeStandard holds what the standard library says of an address against a
// policy without rules.
func judgedLikeStandard(t interface{ Errorf(string, ...any) }, a netip.Addr) {
	u := a.Unmap()
	special := u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || u == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if err := (*Policy)(nil).check("x", netip.AddrPortFrom(a, 80)); special && err == nil {
		t.Errorf("%s is allowed", a)
	}
}

func TestPolicyProperties(t *testing.T) {
	names := []string{"example.org", "a.example.org", "*.example.org", "localhost", "*.org", "other.example"}
	anyRule := rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{port: rapid.SampledFrom([]uint16{0, 0, 80, 443}).Draw(t, "port")}
		if rapid.Bool().Draw(t, "named") {
			r.name, r.below = strings.CutPrefix(rapid.SampledFrom(names).Draw(t, "name"), "*.")
			return r
		}
		a := anyAddr(t).Unmap()
		r.prefix = netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
		if r.prefix.Addr().Is4In6() {
			r.prefix = netip.MustParsePrefix("::/0")
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		allow, deny := rapid.SliceOfN(anyRule, 0, 4).Draw(t, "allow"), rapid.SliceOfN(anyRule, 0, 4).Draw(t, "deny")
		if rapid.Bool().Draw(t, "closed") {
			deny = append(deny, Rule{everyone: true, port: rapid.SampledFrom([]uint16{0, 80}).Draw(t, "closed port")})
		}
		for _, r := range append(allow[:len(allow):len(allow)], deny...) {
			if again, err := ParseRule(r.String()); err != nil || again != r {
				t.Fatalf("%s: %+v, %+v, %v", r, again, r, err)
			}
		}
		host, a := rapid.SampledFrom([]string{"example.org", "a.example.org", "b.a.example.org", "localhost", "x"}).Draw(t, "host"), anyAddr(t)
		to := netip.AddrPortFrom(a, rapid.SampledFrom([]uint16{80, 443}).Draw(t, "to port"))
		judge := func(allow, deny []Rule) error {
			p, err := NewPolicy(allow, deny)
			if err != nil {
				t.Fatal(err)
			}
			err = p.check(host, to)
			if early := p.checkName(host, to.Port()); early != nil && err == nil {
				t.Fatalf("%v, but the address is allowed", early)
			}
			return err
		}
		whole := judge(allow, deny)
		if len(deny) > 0 && whole == nil && judge(allow, deny[1:]) != nil {
			t.Fatal("a rule that denies allowed something")
		}
		if len(allow) > 0 && whole != nil && judge(allow[1:], deny) == nil {
			t.Fatal("a rule that allows denied something")
		}
		// No form gets where the address itself may not.
		if a.Is4() && judge(nil, deny) != nil {
			for _, form := range carried(a) {
				to = netip.AddrPortFrom(form, to.Port())
				if judge(nil, deny) == nil {
					t.Fatalf("%s is allowed and %s is not", form, a)
				}
			}
		}
		judgedLikeStandard(t, a)
	})
}

func FuzzParseRule(f *testing.F) {
	for _, text := range []string{"example.org", "*.example.org:443", "10.0.0.0/8:80", "[fd00::/8]:443", "::1", "*", "127.1", "[::1]:8080", "::ffff:1.2.3.4", "a:b:c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		if again, err := ParseRule(r.String()); err != nil || again != r {
			t.Errorf("%q is %+v, and %q %+v (%v)", text, r, r, again, err)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, text := range []string{"127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%lo", "8.8.8.8", "2606:4700::1", "0.0.0.0", "::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := netip.ParseAddr(text); err == nil {
			judgedLikeStandard(t, a)
			return
		}
		// What is no address is no way to write one either.
		if host, err := CheckHost(text); err == nil {
			if again, err := CheckHost(host); err != nil || again != host {
				t.Errorf("%q is %q, and that %q (%v)", text, host, again, err)
			}
			if ip := net.ParseIP(host); ip != nil {
				t.Errorf("%q is an address", text)
			}
		}
	})
}
