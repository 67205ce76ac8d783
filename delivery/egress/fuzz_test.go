package egress

// Fuzzing of URLs and addresses: whatever the spelling, no request leaves to a
// place that is not public.

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// strict is the guard of an installation that changed nothing.
func strict(f *testing.F) *Guard {
	f.Helper()
	g, err := NewGuard(Policy{})
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// FuzzCheckURL: what is taken is https, without credentials, and names a host
// that is no special address to the standard library either.
func FuzzCheckURL(f *testing.F) {
	g := strict(f)
	for _, u := range []string{"https://example.com/hook?a=b", "https://example.com:8443/", "http://example.com/", "https://127.0.0.1/", "https://0x7f.1/", "https://2130706433/",
		"https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fe80::1%25eth0]/", "https://user:pw@example.com/", "https://example.com\\@evil.example/", "https://example.com#x", "https://example.com/#",
		"https://LOCALHOST./", "https://a.internal/", "https://１２７.0.0.1/", "https://%31%32%37.0.0.1/", "https://example.com:/", "https://example.com:0/", "https:example.com", "//example.com", "https://1.2.3.4.5/", "https://017700000001/", "https://[::]:443/"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		err := g.CheckURL(raw)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("%q is refused without a word", raw)
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Host == "" || strings.ContainsAny(raw, "\r\n\t \\") || len(raw) > MaxURL {
			t.Fatalf("%q is taken: %+v, %v", raw, u, err)
		}
		host := u.Hostname()
		if ip := net.ParseIP(host); ip != nil && (!ip.IsGlobalUnicast() || ip.IsPrivate()) {
			t.Fatalf("%q is taken, though %s is no public address", raw, ip)
		}
		if _, loose := looseIPv4(host); loose && net.ParseIP(host) == nil {
			t.Fatalf("%q is taken, an odd spelling of an address", raw)
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n != 80 && n != 443 && n < 1024 || n > 65535 {
				t.Fatalf("%q is taken with port %s", raw, port)
			}
		}
		// Another reader of the same text has to see the same host.
		if again, err := url.Parse(u.String()); err != nil || again.Hostname() != host {
			t.Fatalf("%q reads as %q, then as %q", raw, host, again)
		}
	})
}

// FuzzAddressSpellings: a forbidden address stays forbidden in every spelling
// that some resolver or URL reader takes.
func FuzzAddressSpellings(f *testing.F) {
	g := strict(f)
	for _, a := range []uint32{0x7f000001, 0x0a000001, 0xa9fea9fe, 0xc0a80001, 0xac100001, 0, 0xffffffff, 0x64400001, 0xa83f8110, 0xe0000001, 0x08080808} {
		for form := range uint8(8) {
			f.Add(a, form, uint8(0b01100100))
		}
	}
	f.Fuzz(func(t *testing.T, bits uint32, form, bases uint8) {
		v4 := netip.AddrFrom4([4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)})
		host := spelling(v4, form, bases)
		err := g.CheckURL("https://" + host + "/")
		if forbidden := g.CheckAddr(v4) != nil; forbidden && err == nil {
			t.Fatalf("%s is forbidden, %s is taken", v4, host)
		}
		std := net.IP(v4.AsSlice())
		if err == nil && (std.IsPrivate() || std.IsLoopback() || std.IsLinkLocalUnicast() || std.IsMulticast() || std.IsUnspecified()) {
			t.Fatalf("%s is taken", host)
		}
		// The dialer judges by the address alone.
		if g.CheckAddr(v4) != nil && g.Control("tcp4", net.JoinHostPort(v4.String(), "443"), nil) == nil {
			t.Fatalf("%s can be dialed", v4)
		}
		if mapped := netip.AddrFrom16(v4.As16()); g.CheckAddr(v4) != nil && g.Control("tcp6", net.JoinHostPort(mapped.String(), "443"), nil) == nil {
			t.Fatalf("%s can be dialed", mapped)
		}
	})
}

// spelling writes an address in one of the forms of inet_aton and of IPv6;
// bases has two bits for each number: decimal, octal, hexadecimal, capitals.
func spelling(a netip.Addr, form, bases uint8) string {
	b := a.As4()
	whole := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	number := func(n uint64, i int) string {
		return fmt.Sprintf([]string{"%d", "0%o", "0x%x", "0X%X"}[bases>>(2*i)&3], n)
	}
	switch form % 8 {
	case 0:
		return number(whole, 0)
	case 1:
		return number(uint64(b[0]), 0) + "." + number(whole&0xffffff, 1)
	case 2:
		return number(uint64(b[0]), 0) + "." + number(uint64(b[1]), 1) + "." + number(whole&0xffff, 2)
	case 3:
		return number(uint64(b[0]), 0) + "." + number(uint64(b[1]), 1) + "." + number(uint64(b[2]), 2) + "." + number(uint64(b[3]), 3)
	case 4:
		return a.String() + "."
	case 5:
		return "[::ffff:" + a.String() + "]"
	case 6:
		return fmt.Sprintf("[::ffff:%02x%02x:%02x%02x]", b[0], b[1], b[2], b[3])
	default:
		return fmt.Sprintf("[64:ff9b::%02x%02x:%02x%02x]", b[0], b[1], b[2], b[3])
	}
}
