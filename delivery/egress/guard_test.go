package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/delivery/egress"
)

func guard(t testing.TB, p egress.Policy) *egress.Guard {
	t.Helper()
	g, err := egress.NewGuard(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func network(addr string) string {
	if netip.MustParseAddrPort(addr).Addr().Is4() {
		return "tcp4"
	}
	return "tcp6"
}

func TestGuard(t *testing.T) {
	strict, private := guard(t, egress.Policy{}), guard(t, egress.Policy{AllowPrivate: true})
	const (
		open   = iota // both let it through
		inside        // only with AllowPrivate
		never         // neither
	)
	for addr, want := range map[string]int{
		"93.184.216.34:443":          open,
		"8.8.8.8:8443":               open,
		"8.8.8.8:80":                 open,
		"[2606:4700:4700::1111]:443": open,
		"[::ffff:8.8.8.8]:443":       open,

		"8.8.8.8:25":                             inside, // a port of something else
		"8.8.8.8:22":                             inside,
		"127.0.0.1:443":                          inside,
		"127.255.255.254:443":                    inside,
		"0.0.0.0:443":                            inside,
		"10.0.0.1:443":                           inside,
		"100.64.0.1:443":                         inside,
		"172.16.0.1:443":                         inside,
		"172.31.255.255:443":                     inside,
		"192.168.1.1:443":                        inside,
		"169.254.1.1:443":                        inside,
		"192.0.0.8:443":                          inside,
		"192.0.2.1:443":                          inside,
		"192.88.99.1:443":                        inside,
		"198.18.0.1:443":                         inside,
		"198.19.255.255:443":                     inside,
		"198.51.100.1:443":                       inside,
		"203.0.113.1:443":                        inside,
		"240.0.0.1:443":                          inside,
		"[::1]:443":                              inside,
		"[::]:443":                               inside,
		"[::ffff:127.0.0.1]:443":                 inside,
		"[::ffff:10.0.0.1]:443":                  inside,
		"[::127.0.0.1]:443":                      inside, // IPv4-compatible
		"[::8.8.8.8]:443":                        inside,
		"[::ffff:0:10.0.0.1]:443":                inside, // translated
		"[64:ff9b::10.0.0.1]:443":                inside, // NAT64
		"[64:ff9b::8.8.8.8]:443":                 inside,
		"[64:ff9b:1::1]:443":                     inside, // local-use NAT64
		"[2002:0a00:0001::1]:443":                inside, // 6to4 of 10.0.0.1
		"[2001:0:53aa:64c:0:7f8d:f5ff:fffe]:443": inside, // Teredo
		"[2001:db8::1]:443":                      inside,
		"[2001:10::1]:443":                       inside,
		"[3fff::1]:443":                          inside,
		"[5f00::1]:443":                          inside,
		"[fc00::1]:443":                          inside,
		"[fd12:3456::1]:443":                     inside,
		"[fe80::1]:443":                          inside,
		"[fe80::1%eth0]:443":                     inside,
		"[fec0::1]:443":                          inside,
		"[100::1]:443":                           inside,
		"[2606:4700::5efe:10.0.0.1]:443":         inside, // ISATAP

		"169.254.169.254:80":            never,
		"[::ffff:169.254.169.254]:80":   never,
		"[::169.254.169.254]:80":        never,
		"[64:ff9b::169.254.169.254]:80": never,
		"[2002:a9fe:a9fe::1]:80":        never,
		"[2001:0:1:1:1:1:5601:5601]:80": never, // Teredo, inverted
		"[2606::200:5efe:a9fe:a9fe]:80": never,
		"[::ffff:0:169.254.169.254]:80": never,
		"169.254.170.2:80":              never,
		"168.63.129.16:80":              never,
		"[::ffff:168.63.129.16]:32526":  never,
		"100.100.100.200:80":            never,
		"192.0.0.192:80":                never,
		"[fd00:ec2::254]:80":            never,
		"[fd00:ec2::23]:80":             never,
		"[fd20:ce::254]:80":             never,
		"224.0.0.1:443":                 never,
		"255.255.255.255:443":           never,
		"[ff02::1]:443":                 never,
		"93.184.216.34:0":               never,
	} {
		for _, c := range []struct {
			g    *egress.Guard
			open bool
		}{{strict, want == open}, {private, want != never}} {
			err := c.g.Control(network(addr), addr, nil)
			if (err == nil) != c.open {
				t.Errorf("%s (private %v): %v", addr, c.g == private, err)
			}
			if err != nil && !errors.Is(err, egress.ErrBlocked) {
				t.Errorf("%s: %v does not wrap ErrBlocked", addr, err)
			}
		}
	}
	for _, c := range [][2]string{{"udp4", "8.8.8.8:443"}, {"unix", "/run/docker.sock"}, {"tcp4", "example.com:443"}, {"tcp", "8.8.8.8:443"}} {
		if private.Control(c[0], c[1], nil) == nil {
			t.Errorf("%v was let through", c)
		}
	}
}

func TestPolicyLists(t *testing.T) {
	g := guard(t, egress.Policy{Ports: []uint16{8443}, Deny: []netip.Prefix{netip.MustParsePrefix("8.8.8.0/24")}, Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}})
	for addr, open := range map[string]bool{"1.1.1.1:8443": true, "1.1.1.1:443": false, "8.8.8.8:8443": false, "[::ffff:8.8.8.8]:8443": false, "10.1.2.3:8443": true, "10.2.0.1:8443": false} {
		if err := g.Control(network(addr), addr, nil); (err == nil) != open {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, p := range []egress.Policy{{Ports: []uint16{0}}, {Deny: []netip.Prefix{{}}}, {Allow: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}} {
		if _, err := egress.NewGuard(p); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

// TestGuardModel: whatever address the standard library calls private, local
// or multicast is refused, in each of the forms that carry an IPv4 address;
// and those forms never reach further than the plain address would.
func TestGuardModel(t *testing.T) {
	g := guard(t, egress.Policy{})
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ipv4")
		if rapid.Bool().Draw(t, "local") {
			raw[0] = rapid.SampledFrom([]byte{0, 10, 127, 224, 255}).Draw(t, "first")
		}
		v4 := netip.AddrFrom4([4]byte(raw))
		ip := net.IP(raw)
		plain := g.CheckAddr(v4)
		if plain == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()) {
			t.Fatalf("%s was let through", v4)
		}
		b := v4.As4()
		forms := map[string][16]byte{
			"mapped":     {10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]},
			"compatible": {12: b[0], 13: b[1], 14: b[2], 15: b[3]},
			"translated": {8: 0xff, 9: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]},
			"nat64":      {0: 0, 1: 0x64, 2: 0xff, 3: 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]},
			"6to4":       {0: 0x20, 1: 0x02, 2: b[0], 3: b[1], 4: b[2], 5: b[3], 15: 1},
			"teredo":     {0: 0x20, 1: 0x01, 12: ^b[0], 13: ^b[1], 14: ^b[2], 15: ^b[3]},
			"isatap":     {0: 0x26, 1: 0x06, 10: 0x5e, 11: 0xfe, 12: b[0], 13: b[1], 14: b[2], 15: b[3]},
		}
		for name, form := range forms {
			err := g.CheckAddr(netip.AddrFrom16(form))
			if name == "mapped" && (err == nil) != (plain == nil) {
				t.Fatalf("%s plain %v, mapped %v", v4, plain, err)
			}
			if name != "mapped" && err == nil {
				t.Fatalf("%s form of %s was let through", name, v4)
			}
		}
	})
}
