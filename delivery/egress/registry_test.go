package egress_test

// The registries of special-purpose addresses, written down independently of
// the guard's own tables: what is in them is refused in every form, what is
// not is allowed.

import (
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/delivery/egress"
)

// The IANA registries, entries inside others left out, with multicast and what
// has a purpose of its own beside them.
var (
	special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32")
	special6 = prefixes("::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:2::/48",
		"2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20", "5f00::/16", "fc00::/7",
		"fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128")
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func among(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// inside draws an address of a prefix: its first, its last, or any.
func inside(t *rapid.T, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	fill := rapid.SampledFrom([]string{"first", "last", "any"}).Draw(t, "host bits")
	for i := p.Bits(); i < len(b)*8; i++ {
		if fill == "last" || fill == "any" && rapid.Bool().Draw(t, "bit") {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// forms are all addresses of IPv6 that carry a, but for the mapped one.
func forms(a netip.Addr) map[string]netip.Addr {
	v, f := a.As4(), map[string]netip.Addr{}
	put := func(name string, prefix string, places ...int) {
		b := netip.MustParseAddr(prefix).As16()
		for i, at := range places {
			b[at] = v[i]
		}
		f[name] = netip.AddrFrom16(b)
	}
	put("compatible", "::", 12, 13, 14, 15)
	put("translated", "::ffff:0:0:0", 12, 13, 14, 15)
	put("NAT64", "64:ff9b::", 12, 13, 14, 15)
	put("local NAT64 /48", "64:ff9b:1::", 6, 7, 9, 10)
	put("local NAT64 /56", "64:ff9b:1:4100::", 7, 9, 10, 11)
	put("local NAT64 /64", "64:ff9b:1:4141::", 9, 10, 11, 12)
	put("local NAT64 /96", "64:ff9b:1:4141:41:4141::", 12, 13, 14, 15)
	put("6to4", "2002::1", 2, 3, 4, 5)
	put("Teredo server", "2001::1:1:1:1", 4, 5, 6, 7)
	put("ISATAP", "2606:4700::5efe:0:0", 12, 13, 14, 15)
	put("ISATAP, universal", "2606:4700::200:5efe:0:0", 12, 13, 14, 15)
	put("6to4 and ISATAP", "2002:808:808::5efe:0:0", 12, 13, 14, 15)
	v = [4]byte{^v[0], ^v[1], ^v[2], ^v[3]}
	put("Teredo client", "2001::", 12, 13, 14, 15)
	return f
}

// TestRegistriesAreRefused: any address of any range, in any form.
func TestRegistriesAreRefused(t *testing.T) {
	g := guard(t, egress.Policy{})
	refuse := func(t *rapid.T, a netip.Addr, form string) {
		network := "tcp6"
		if a.Is4() {
			network = "tcp4"
		}
		if g.Control(network, netip.AddrPortFrom(a, 443).String(), nil) == nil {
			t.Fatalf("%s (%s) can be dialed", a, form)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := inside(t, rapid.SampledFrom(special4).Draw(t, "IPv4"))
		refuse(t, a, "plain")
		refuse(t, netip.AddrFrom16(a.As16()), "mapped")
		for name, form := range forms(a) {
			refuse(t, form, name)
		}
		six := inside(t, rapid.SampledFrom(special6).Draw(t, "IPv6"))
		refuse(t, six, "plain")
		refuse(t, six.WithZone("lo"), "zone")
	})
}

// TestPublicAddressesAreAllowed: the guard refuses nothing that no registry
// names, plain or mapped.
func TestPublicAddressesAreAllowed(t *testing.T) {
	g := guard(t, egress.Policy{})
	rapid.Check(t, func(t *rapid.T) {
		four := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4")))
		raw := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6"))
		raw[0] = 0x20 | raw[0]&0x1f // 2000::/3 is all that is given out
		six := netip.AddrFrom16(raw)
		if raw[10] == 0x5e && raw[11] == 0xfe {
			return // ISATAP
		}
		for _, a := range []netip.Addr{four, netip.AddrFrom16(four.As16()), six} {
			want := !among(special4, four)
			if a == six {
				want = !among(special6, six)
			}
			network := "tcp6"
			if a.Is4() {
				network = "tcp4"
			}
			err := g.Control(network, net.JoinHostPort(a.String(), "443"), nil)
			if (err == nil) != want {
				t.Fatalf("%s: %v", a, err)
			}
		}
		if !among(special4, four) {
			if err := g.CheckURL("https://" + four.String() + "/"); err != nil {
				t.Fatalf("%s: %v", four, err)
			}
		}
	})
}

// TestMetadataIsNeverReached: with private addresses allowed, the addresses
// where clouds hand out credentials stay closed, in every form.
func TestMetadataIsNeverReached(t *testing.T) {
	g := guard(t, egress.Policy{AllowPrivate: true, AllowHTTP: true})
	for _, text := range []string{"169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.0.23"} {
		a := netip.MustParseAddr(text)
		all := forms(a)
		all["plain"], all["mapped"] = a, netip.AddrFrom16(a.As16())
		for name, form := range all {
			if g.CheckAddr(form) == nil {
				t.Errorf("%s as %s (%s) is let through", text, form, name)
			}
		}
	}
	for _, text := range []string{"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe%eth0", "fd00:42::42"} {
		if g.CheckAddr(netip.MustParseAddr(text)) == nil {
			t.Errorf("%s is let through", text)
		}
	}
}

// TestListsOfMappedNetworksAreRefused: they would match nothing, silently.
func TestListsOfMappedNetworksAreRefused(t *testing.T) {
	mapped := prefixes("::ffff:10.0.0.0/104")
	for _, p := range []egress.Policy{{Deny: mapped}, {Allow: mapped}} {
		if _, err := egress.NewGuard(p); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}
